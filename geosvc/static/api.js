// Swagger UI in the place of the plain list of operations, from this service alone.

// The operations alone: the page has a heading and a main landmark already, and Swagger UI's own
// layout would add others.
function operationsLayout({ React: { createElement } }) {
  const PageLayout = ({ getComponent, specSelectors }) => {
    const create = (name, isContainer) =>
      createElement(getComponent(name, isContainer), { key: name });
    const parts = [create("SvgAssets", false), create("errors", true)];
    if (specSelectors.loadingStatus() === "success") parts.push(create("operations", true));
    return createElement("div", { className: "swagger-ui" }, parts);
  };
  return { components: { PageLayout } };
}

function showOperations(place) {
  const { SwaggerUIBundle } = globalThis;
  place.hidden = false;
  SwaggerUIBundle({
    url: new URL(place.dataset.description, location.href).href,
    domNode: place,
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [operationsLayout],
    layout: "PageLayout",
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: -1,
    // The validator is another host.
    validatorUrl: null,
    onComplete: () => {
      document.querySelector("[data-plain]").hidden = true;
      place.dataset.state = "ready";
    },
  });
}

// Swagger UI knows dark colours, by this class alone.
function followColourScheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();
}

const place = document.querySelector("#swagger");
const script = document.createElement("script");
script.src = place.dataset.library;
script.addEventListener("load", () => showOperations(place));
document.head.append(script);
followColourScheme();
