// What pages can do where there is JavaScript; without it they say the same.

function addCopyButtons() {
  for (const box of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy for ${box.dataset.copy}`);
    button.addEventListener("click", async () => {
      const code = box.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        // no clipboard without TLS: at least it is selected
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    box.append(button);
  }
}

function addSearch(box) {
  const rows = [...document.querySelectorAll(`#${box.dataset.search} tbody tr`)];
  const texts = rows.map(row => row.textContent.toLowerCase());
  const found = box.querySelector("[data-found]");
  box.hidden = false;
  box.querySelector("input").addEventListener("input", event => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every(word => texts[index].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    found.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
}

async function openMap(section) {
  try {
    const { openMap } = await import("./map.js");
    return await openMap(section);
  } catch (error) {
    console.warn(error);
    section.dataset.state = "failed";
    const note = section.querySelector("[data-note]");
    if (note) note.textContent = "The map cannot be shown: this browser has no WebGL.";
    return null;
  }
}

addCopyButtons();
document.querySelectorAll("[data-search]").forEach(addSearch);
const maps = [...document.querySelectorAll("[data-map]")].map(openMap);
const opening = maps[0] ?? Promise.resolve(null);
const query = document.querySelector("[data-query]");
if (query) {
  const { enhanceQuery } = await import("./query.js");
  enhanceQuery(query, opening);
}
const live = document.querySelector("[data-live]");
if (live) {
  const { followFeature, followListing } = await import("./live.js");
  if ("feature" in live.dataset) followFeature(live, opening);
  else followListing(live, opening);
}
