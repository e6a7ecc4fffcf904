// What a page can do with JavaScript. Without it the page says the same, but for the map. Each
// page fetches only the scripts that it needs.

async function openMap(section) {
  try {
    // Both at once: the library is large, and its URL is known here.
    const library = new URL(section.dataset.library, document.baseURI).href;
    const [maplibre, map] = await Promise.all([import(library), import("./map.js")]);
    return await map.openMap(maplibre, section);
  } catch (error) {
    console.warn(error);
    section.dataset.state = "failed";
    const note = section.querySelector("[data-note]");
    if (note) note.textContent = "The map cannot be shown: this browser has no WebGL.";
    return null;
  }
}

async function addCopyButtons(boxes) {
  const { addCopyButton } = await import("./copy_buttons.js");
  boxes.forEach(addCopyButton);
}

async function addSearch(box) {
  const { addTableSearch } = await import("./table_search.js");
  addTableSearch(box);
}

async function enhanceForm(form, opening) {
  const { enhanceQueryForm } = await import("./query_form.js");
  enhanceQueryForm(form, opening);
}

async function follow(live, opening) {
  if ("feature" in live.dataset) {
    const { followFeature } = await import("./live_feature.js");
    followFeature(live, opening);
  } else {
    const { followListing } = await import("./live_listing.js");
    followListing(live, opening);
  }
}

// The map comes first, since it takes longest.
const maps = [...document.querySelectorAll("[data-map]")].map(openMap);
const opening = maps[0] ?? Promise.resolve(null);
const form = document.querySelector("[data-query]");
if (form) enhanceForm(form, opening);
const live = document.querySelector("[data-live]");
if (live) follow(live, opening);
document.querySelectorAll("[data-search]").forEach(addSearch);
const boxes = document.querySelectorAll("[data-copy]");
if (boxes.length) addCopyButtons(boxes);
