import assert from "node:assert/strict";
import { test } from "node:test";

import { hasWords, wordsOf } from "../../../geosvc/static/word_search.js";

test("words are separated by any space, and in lower case", () => {
  assert.deepEqual(wordsOf("  Ne\tYork \n"), ["ne", "york"]);
  assert.deepEqual(wordsOf("   "), []);
});

test("a text has all words, in any order and within others", () => {
  assert.equal(hasWords("streets of new york", ["york", "street"]), true);
  assert.equal(hasWords("streets of new york", ["york", "river"]), false);
  assert.equal(hasWords("streets", []), true);
});
