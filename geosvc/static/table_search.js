// The search in the table of collections.

import { hasWords, wordsOf } from "./word_search.js";

/**
 * Shows the search, and hides the rows that do not hold all its words.
 * @param {HTMLElement} box its data-search is the id of the table's element
 */
export function addTableSearch(box) {
  const rows = [...document.querySelectorAll(`#${box.dataset.search} tbody tr`)];
  const texts = rows.map(row => row.textContent.toLowerCase());
  const found = box.querySelector("[data-found]");
  box.hidden = false;
  box.querySelector("input").addEventListener("input", event => {
    const words = wordsOf(event.target.value);
    for (const [index, row] of rows.entries()) row.hidden = !hasWords(texts[index], words);
    const shown = rows.filter(row => !row.hidden).length;
    found.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
}
