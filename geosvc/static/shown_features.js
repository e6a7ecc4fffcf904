// The features of a page on its map: fetched, drawn, and changed as the collection changes.

import { boundsOf } from "./bounds.js";
import { cornersOf } from "./boxes.js";
import { FeatureLayers } from "./feature_layers.js";
import { FeaturePicker } from "./feature_picker.js";
import { fetchFeature, readJson, requestPage } from "./feature_requests.js";
import { FeatureStore } from "./feature_store.js";
import { zoomLevelFor } from "./feature_urls.js";
import { sayOnMap } from "./map_note.js";
import { MAX_ZOOM } from "./map_style.js";
import { TileLayers } from "./tile_layers.js";

/** What a page shows on its map. Features are known by their keys: their ids as text. */
export class ShownFeatures {
  #map;
  #section;
  #store = new FeatureStore();
  #layers;
  #picker;
  #tiles;
  #zoomLevel = null;
  #reading = null;

  /**
   * @param {object} map of MapLibre GL JS, with the layers of map_style.js
   * @param {HTMLElement} section of the map; its data-features is the URL of the features, its
   *   data-tiles that of the style of tiles; either may be missing
   */
  constructor(map, section) {
    this.#map = map;
    this.#section = section;
    this.#layers = new FeatureLayers(map, this.#store);
    this.#tiles = section.dataset.tiles ? new TileLayers(map, section) : null;
    this.#picker = new FeaturePicker(map, section, this.#store, this.#layers, {
      hoverAt: point => this.#tiles?.hoverAt(point) ?? false,
      pickAt: point => this.#fetchPicked(point),
    });
  }

  /** Fetches and draws tiles and features; a failure is told on the map. */
  async load() {
    await Promise.all([this.#tiles?.load(), this.#loadFeatures()]);
    if (this.#section.querySelector("[data-panel]")) this.#picker.start();
  }

  /** Fetches the tiles again, soon. */
  renewTilesSoon() {
    this.#tiles?.renewSoon();
  }

  async #loadFeatures() {
    if (!this.#section.dataset.features) return;
    try {
      await this.#read(this.#wantedZoomLevel());
    } catch (error) {
      this.#section.dataset.state = "failed";
      sayOnMap(this.#section, `The features could not be drawn: ${error.message}`);
      return;
    }
    this.#fitMap();
    if (this.#isHeavy) {
      await this.#refine();
      this.#map.on("moveend", () => this.#refine());
    }
  }

  // The feature of a tile becomes one of those that the map shows; its key, or null without one.
  async #fetchPicked(point) {
    const key = this.#tiles?.pickAt(point) ?? null;
    if (key === null || this.#store.has(key)) return key;
    const feature = await fetchFeature(this.#href, key, this.#zoomLevel);
    if (!feature) return null;
    this.#store.change([{ name: "insert", key, feature }]);
    this.#layers.draw();
    return key;
  }

  /**
   * @param {string} key
   * @returns {boolean} whether the feature is on the map
   */
  has(key) {
    return this.#store.has(key);
  }

  /** @returns {import("./boxes.js").Box | null} the bounds of all features */
  bounds() {
    return boundsOf(this.#store.values());
  }

  /**
   * Fetches everything again.
   * @param {boolean} forget features that came after the page, since they may be gone
   */
  async reload(forget) {
    if (forget) this.#store.forgetNewcomers();
    await this.#read(this.#wantedZoomLevel());
  }

  /**
   * Shows changes, in their order.
   * @param {import("./change_events.js").Change[]} changes
   */
  change(changes) {
    const touched = this.#store.change(changes);
    if (!touched.size) return;
    this.#layers.drawSoon();
    this.#layers.flash([...touched].filter(key => this.#store.has(key)));
    this.#picker.renew(touched);
  }

  /**
   * Fetches a feature that is too large for an event.
   * @param {string} key
   */
  async fetchAlone(key) {
    const feature = await fetchFeature(this.#href, key, this.#zoomLevel);
    this.change([{ name: feature ? "insert" : "delete", key, feature }]);
  }

  /**
   * Whether the only feature of the page is as it was fetched.
   * @returns {Promise<"same" | "changed" | "gone">}
   */
  async standing() {
    const response = await requestPage(this.#href, this.#zoomLevel);
    if (response.status === 404) return "gone";
    const found = await readJson(response);
    const [known] = this.#store.values();
    return JSON.stringify(found) === JSON.stringify(known) ? "same" : "changed";
  }

  /** Marks the row of the picked feature: rows may be other ones now. */
  markRows() {
    this.#picker.markRows();
  }

  /** Adds the buttons that rows lack. */
  addRowButtons() {
    this.#picker.addRowButtons();
  }

  get #href() {
    return new URL(this.#section.dataset.features, location.href).href;
  }

  // Features of many megabytes come as simple as the zoom allows.
  get #isHeavy() {
    return "heavy" in this.#section.dataset;
  }

  #wantedZoomLevel() {
    return this.#isHeavy ? zoomLevelFor(this.#map.getZoom()) : null;
  }

  #fitMap() {
    const bounds = this.bounds();
    if (!bounds || this.#section.dataset.extent) return;
    this.#map.fitBounds(cornersOf(bounds), { padding: 40, maxZoom: MAX_ZOOM, duration: 0 });
  }

  async #refine() {
    const wanted = this.#wantedZoomLevel();
    if (wanted <= this.#zoomLevel) return;
    try {
      await this.#read(wanted);
    } catch (error) {
      if (error.name === "AbortError") return;
      sayOnMap(this.#section, `Finer features could not be drawn: ${error.message}`);
    }
  }

  // A newer reading aborts the one before it.
  async #read(zoomLevel) {
    this.#reading?.abort();
    const reading = new AbortController();
    this.#reading = reading;
    this.#store.beginReading();
    try {
      const response = await requestPage(this.#href, zoomLevel, reading.signal);
      this.#take(await readJson(response));
      this.#zoomLevel = zoomLevel;
    } finally {
      if (this.#reading === reading) {
        this.#reading = null;
        this.#store.endReading();
      }
    }
  }

  #take(answer) {
    const features = answer.type === "Feature" ? [answer] : answer.features;
    this.#store.replace(features);
    this.#layers.draw();
    const areBare = features.length > 0 && features.every(each => !each.geometry);
    if (areBare) sayOnMap(this.#section, "Nothing here has a geometry.");
  }
}
