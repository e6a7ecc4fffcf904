// Which feature of a map is picked: by a click on the map or by a button of the table.

import { boundsOf } from "./bounds.js";
import { cornersOf } from "./boxes.js";
import { FeaturePanel } from "./feature_panel.js";
import { addRowButtons, markRow } from "./feature_rows.js";
import { MAX_ZOOM } from "./map_style.js";

const GONE = "The picked feature was deleted, or is not selected any more.";

/** Marks the picked feature on the map and in the table, and shows its properties. */
export class FeaturePicker {
  #map;
  #section;
  #store;
  #layers;
  #panel;
  #others;
  #picked = null;
  #asked = 0;

  /**
   * @param {object} map of MapLibre GL JS
   * @param {HTMLElement} section of the map
   * @param {import("./feature_store.js").FeatureStore} store
   * @param {import("./feature_layers.js").FeatureLayers} layers
   * @param {{hoverAt: Function, pickAt: Function}} others features beside those of the store: at
   *   a point the one says whether there is one, the other puts it into the store and gives its key
   */
  constructor(map, section, store, layers, others) {
    this.#map = map;
    this.#section = section;
    this.#store = store;
    this.#layers = layers;
    this.#others = others;
    this.#panel = new FeaturePanel(section, () => map.resize());
  }

  /** Begins to follow the mouse, and adds the buttons of the table. */
  start() {
    this.#map.on("click", event => this.#pickAt(event.point));
    this.#map.on("mousemove", event => this.#pointAt(event.point));
    this.addRowButtons();
  }

  /**
   * Shows the picked feature as it is now, when it is one of those that have changed.
   * @param {Set<string>} keys
   */
  renew(keys) {
    if (!keys.has(this.#picked)) return;
    if (this.#store.has(this.#picked)) this.#describe();
    else this.#unpick(GONE);
  }

  /** Marks the row of the picked feature: rows may be other ones now. */
  markRows() {
    markRow(this.#picked);
  }

  /** Adds the buttons that rows lack. */
  addRowButtons() {
    addRowButtons(this.#store, key => this.#show(key));
  }

  // Of several clicks the last one counts, whichever is answered first.
  async #pickAt(point) {
    if (this.#isDrawing()) return;
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const key = this.#keyAt(point) ?? (await this.#others.pickAt(point));
      if (asked !== this.#asked) return;
      if (key === null) this.#unpick();
      else this.#pick(key);
    } catch (error) {
      this.#unpick(`The feature could not be read: ${error.message}`);
    }
  }

  #pointAt(point) {
    if (this.#isDrawing()) return;
    const isOther = this.#others.hoverAt(point);
    const isOne = isOther || this.#keyAt(point) !== null;
    this.#map.getCanvas().style.cursor = isOne ? "pointer" : "";
  }

  // While a box is drawn, the mouse picks nothing.
  #isDrawing() {
    return Boolean(this.#map.getContainer().dataset.drawing);
  }

  #keyAt(point) {
    return this.#layers.keysAt(point).find(key => this.#store.has(key)) ?? null;
  }

  #pick(key) {
    this.#mark(key);
    this.#describe();
  }

  #unpick(words = "") {
    this.#mark(null);
    if (words) this.#panel.say(words);
    else this.#panel.clear();
  }

  #mark(key) {
    if (this.#picked !== null) this.#layers.markPicked(this.#picked, false);
    if (key !== null) this.#layers.markPicked(key, true);
    this.#picked = key;
    this.markRows();
  }

  #describe() {
    this.#panel.show(this.#store.get(this.#picked), () => this.#unpick());
  }

  #show(key) {
    if (!this.#store.has(key)) return;
    this.#pick(key);
    const bounds = boundsOf([this.#store.get(key)]);
    if (bounds) this.#map.fitBounds(cornersOf(bounds), { padding: 60, maxZoom: MAX_ZOOM });
    this.#section.scrollIntoView({ block: "nearest" });
  }
}
