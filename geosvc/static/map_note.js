// A sentence over the map, which replaces the one before it.

/**
 * Shows a sentence on the map.
 * @param {HTMLElement} section of the map
 * @param {string} text
 */
export function sayOnMap(section, text) {
  const note = document.createElement("p");
  note.className = "note over";
  note.setAttribute("role", "status");
  note.textContent = text;
  section.querySelector(".note.over")?.remove();
  section.querySelector("[data-canvas]").append(note);
}
