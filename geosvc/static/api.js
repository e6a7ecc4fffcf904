// Swagger UI in the place of the plain list, from this service alone.

const place = document.querySelector("#swagger");
const script = document.createElement("script");
script.src = place.dataset.library;
script.addEventListener("load", () => {
  place.hidden = false;
  globalThis.SwaggerUIBundle({
    url: new URL(place.dataset.description, location.href).href,
    domNode: place,
    presets: [globalThis.SwaggerUIBundle.presets.apis],
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: -1,
    validatorUrl: null, // it would ask another host
    onComplete: () => {
      document.querySelector("[data-plain]").hidden = true;
      place.dataset.state = "ready";
    },
  });
});
document.head.append(script);

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
