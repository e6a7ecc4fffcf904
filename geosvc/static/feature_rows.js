// The rows of the table of features, as far as they belong to the map.

/**
 * Marks the row of the picked feature.
 * @param {string | null} key null when none is picked
 */
export function markRow(key) {
  for (const row of rows()) row.classList.toggle("picked", row.dataset.feature === key);
}

/**
 * Gives every row whose feature is on the map a button that shows it there, unless it has one.
 * @param {import("./feature_store.js").FeatureStore} store
 * @param {(key: string) => void} show called by the button
 */
export function addRowButtons(store, show) {
  for (const row of rows()) {
    const key = row.dataset.feature;
    if (!store.get(key)?.geometry || row.querySelector(".locate")) continue;
    const heading = row.querySelector("th");
    const button = locateButton(heading.textContent.trim());
    button.addEventListener("click", () => show(key));
    heading.prepend(button);
  }
}

function rows() {
  return document.querySelectorAll("[data-features-table] tbody tr");
}

function locateButton(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "locate";
  button.title = "Show on the map";
  button.setAttribute("aria-label", `Show ${name} on the map`);
  return button;
}
