// The layers of a map that show the features of a page.

import { FEATURE_LAYERS, FEATURE_SOURCES } from "./map_style.js";
import { spotOf } from "./spots.js";

const PICK_PIXELS = 5;
const FLASH_MS = 1500;

/** Draws what a store holds, and marks features as picked or changed. */
export class FeatureLayers {
  #map;
  #store;
  // MapLibre keeps the state of a feature by a whole number, so every key gets one.
  #numbers = new Map();
  #keys = [];
  #flashes = new Map();
  #frame = null;

  /**
   * @param {object} map of MapLibre GL JS
   * @param {import("./feature_store.js").FeatureStore} store
   */
  constructor(map, store) {
    this.#map = map;
    this.#store = store;
  }

  /** Draws the features now. */
  draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const drawable = [...this.#store.entries()]
      .filter(([, feature]) => feature.geometry)
      .map(([key, { geometry }]) => this.#drawableOf(key, geometry));
    this.#setFeatures("features", drawable);
    this.#setFeatures("spots", drawable.map(spotOf).filter(Boolean));
  }

  /** Draws the features in the next frame: once for all changes until then. */
  drawSoon() {
    this.#frame ??= requestAnimationFrame(() => this.draw());
  }

  /**
   * Shows a feature in the colour of what was picked, or no longer.
   * @param {string} key
   * @param {boolean} picked
   */
  markPicked(key, picked) {
    this.#setState(key, { picked });
  }

  /**
   * Shows for a moment that features have changed, unless the reader wants no motion.
   * @param {string[]} keys
   */
  flash(keys) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const key of keys) this.#flashOne(key);
  }

  /**
   * The features at a place.
   * @param {{x: number, y: number}} point in pixels of the map
   * @returns {string[]} their keys; a point or a line comes before the area that it lies in
   */
  keysAt({ x, y }) {
    const square = [
      [x - PICK_PIXELS, y - PICK_PIXELS],
      [x + PICK_PIXELS, y + PICK_PIXELS],
    ];
    const found = this.#map.queryRenderedFeatures(square, { layers: FEATURE_LAYERS });
    const height = each => FEATURE_LAYERS.indexOf(each.layer.id);
    found.sort((one, other) => height(other) - height(one));
    return found.map(each => this.#keys[each.id]);
  }

  #drawableOf(key, geometry) {
    return { type: "Feature", id: this.#numberOf(key), properties: {}, geometry };
  }

  #setFeatures(source, features) {
    this.#map.getSource(source).setData({ type: "FeatureCollection", features });
  }

  #numberOf(key) {
    if (!this.#numbers.has(key)) {
      this.#numbers.set(key, this.#keys.length);
      this.#keys.push(key);
    }
    return this.#numbers.get(key);
  }

  #setState(key, state) {
    const id = this.#numberOf(key);
    for (const source of FEATURE_SOURCES) this.#map.setFeatureState({ source, id }, state);
  }

  #flashOne(key) {
    clearTimeout(this.#flashes.get(key));
    this.#setState(key, { changed: true });
    const end = () => {
      this.#flashes.delete(key);
      this.#setState(key, { changed: false });
    };
    this.#flashes.set(key, setTimeout(end, FLASH_MS));
  }
}
