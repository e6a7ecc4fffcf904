// The legend below a map, and the choice of the property that gives the colour.

/** What the colours of a map mean. */
export class MapLegend {
  #box;
  #choice;

  /**
   * @param {HTMLElement} section of the map, which may have an element [data-legend]
   * @param {(property: string) => void} onChoice called with the chosen property; empty for none
   */
  constructor(section, onChoice) {
    this.#box = section.querySelector("[data-legend]");
    this.#choice = section.querySelector("[data-colour]");
    this.#choice?.addEventListener("change", () => onChoice(this.#choice.value));
  }

  /** @returns {string} the chosen property; empty for none */
  get property() {
    return this.#choice?.value ?? "";
  }

  /**
   * Shows the entries.
   * @param {{label: string, color: string}[]} entries
   */
  show(entries) {
    if (!this.#box) return;
    this.#box.hidden = false;
    this.#box.querySelector("[data-entries]").replaceChildren(...entries.map(itemOf));
  }
}

function itemOf({ label, color }) {
  const item = document.createElement("li");
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.backgroundColor = color;
  item.append(swatch, label);
  return item;
}
