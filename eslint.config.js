// The rules of the scripts: ESLint's recommended ones, and a few so that they stay easy to read.

import { createRequire } from "node:module";

// ESLint is installed beside the other JavaScript that only tests need (scripts/clients).
const require = createRequire(new URL("tests/clients/package.json", import.meta.url));
const js = require("@eslint/js");

// These know neither the page nor the map, so that tests/unit/javascript can run them in node.
const PURE = [
  "bounds",
  "boxes",
  "change_events",
  "delays",
  "feature_store",
  "feature_urls",
  "property_text",
  "spots",
  "tile_features",
  "word_search",
];
const IMPURE = `^(?!\\./(${PURE.join("|")})\\.js$)`;

const globals = names => Object.fromEntries(names.map(name => [name, "readonly"]));
const ANYWHERE = ["URL", "URLSearchParams"];
const BROWSER = [
  ...["document", "location", "navigator", "console", "matchMedia", "getComputedStyle"],
  ...["getSelection", "addEventListener", "requestAnimationFrame", "cancelAnimationFrame"],
  ...["setTimeout", "clearTimeout", "performance", "fetch", "AbortController", "DOMParser"],
  ...["EventSource"],
];

// An exported function or class, and every public method, says in JSDoc what it takes and gives.
const documented = {
  meta: { messages: { missing: "{{name}} has no JSDoc comment" } },
  create(context) {
    const check = (node, name) => {
      const before = context.sourceCode.getCommentsBefore(node).at(-1);
      const isJsdoc = before?.type === "Block" && before.value.startsWith("*");
      if (!isJsdoc) context.report({ node, messageId: "missing", data: { name } });
    };
    return {
      "ExportNamedDeclaration[declaration]": node => {
        const [variable] = node.declaration.declarations ?? [node.declaration];
        check(node, variable.id.name);
      },
      "ExportNamedDeclaration > ClassDeclaration MethodDefinition": node => {
        if (node.key.type === "Identifier") check(node, node.key.name);
      },
    };
  },
};

const READABLE = {
  "max-len": ["error", { code: 100 }],
  "max-lines": ["error", 200],
  "max-lines-per-function": ["error", 50],
  "max-depth": ["error", 3],
  "max-params": ["error", 5],
  "max-statements-per-line": "error",
  complexity: ["error", 8],
  curly: ["error", "multi-line"],
  eqeqeq: "error",
  "no-multi-assign": "error",
  "no-nested-ternary": "error",
  "no-var": "error",
  "prefer-const": "error",
};

export default [
  { ignores: ["**/node_modules/", "**/vendor/", ".venv/"] },
  js.configs.recommended,
  { rules: READABLE, linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["geosvc/static/*.js"],
    languageOptions: { globals: globals(ANYWHERE) },
    plugins: { geosvc: { rules: { documented } } },
    rules: { "geosvc/documented": "error" },
  },
  {
    files: ["geosvc/static/*.js"],
    ignores: PURE.map(name => `geosvc/static/${name}.js`),
    languageOptions: { globals: globals(BROWSER) },
  },
  {
    files: PURE.map(name => `geosvc/static/${name}.js`),
    rules: { "no-restricted-imports": ["error", { patterns: [{ regex: IMPURE }] }] },
  },
  {
    files: ["**/*.mjs", "eslint.config.js"],
    languageOptions: { globals: globals([...ANYWHERE, "console", "process", "fetch"]) },
  },
];
