// The tiles of a map: all features that a page selects, below those that are on the page.

import { sayOnMap } from "./map_note.js";
import { colourOf, showFeaturesPlainly } from "./map_style.js";
import { MapLegend } from "./map_legend.js";
import { hoverable, idOf, isCluster } from "./tile_features.js";

const PICK_PIXELS = 4;
const RENEWAL_MS = 400;
const CLUSTER_ZOOM = 2;
const LOWEST_FEATURES = "feature-fill";

/** Draws tiles by the style that the service makes for them. */
export class TileLayers {
  #map;
  #href;
  #key;
  #section;
  #legend;
  #layers = [];
  #sources = [];
  #hovered = null;
  #renewal = null;
  #loading = null;

  /**
   * @param {object} map of MapLibre GL JS
   * @param {HTMLElement} section of the map; its data-tiles is the URL of a style
   */
  constructor(map, section) {
    this.#map = map;
    this.#href = new URL(section.dataset.tiles, document.baseURI).href;
    this.#key = JSON.parse(section.dataset.key ?? "[]");
    this.#section = section;
    this.#legend = new MapLegend(section, () => this.load());
  }

  /**
   * Fetches the style, and draws the tiles; a failure is told on the map. A newer call ends the one
   * before it.
   */
  async load() {
    this.#loading?.abort();
    this.#loading = new AbortController();
    const property = this.#legend.property;
    const url = new URL(this.#href);
    if (property) url.searchParams.set("color", property);
    try {
      this.#show(await fetchStyle(url, this.#loading.signal), property);
    } catch (error) {
      if (error.name === "AbortError") return;
      sayOnMap(this.#section, `The map could not be drawn: ${error.message}`);
    }
  }

  #show(style, property) {
    this.#remove();
    this.#add(style);
    showFeaturesPlainly(this.#map, property === "");
    const legend = style.metadata["geosvc:legend"];
    const onPage = { label: "on this page", color: colourOf("feature") };
    const hasBoth = property === "" && Boolean(this.#section.dataset.features);
    this.#legend.show(hasBoth ? [onPage, ...legend] : legend);
  }

  /** Fetches the tiles again, soon: once for all changes until then. */
  renewSoon() {
    if (this.#renewal !== null) return;
    this.#renewal = setTimeout(() => {
      this.#renewal = null;
      for (const source of this.#sources) this.#map.refreshTiles(source);
    }, RENEWAL_MS);
  }

  /**
   * The feature at a place, made stronger until another one is asked for.
   * @param {{x: number, y: number}} point in pixels of the map
   * @returns {boolean} whether there is one
   */
  hoverAt(point) {
    const found = this.#foundAt(point);
    if (found?.id !== this.#hovered?.id) {
      this.#mark(this.#hovered, false);
      this.#mark(found, true);
    }
    this.#hovered = found ?? null;
    return found !== undefined;
  }

  /**
   * The feature at a place. Of several features that are drawn as one the map shows more.
   * @param {{x: number, y: number}} point in pixels of the map
   * @returns {string | null} its id as text; null without one
   */
  pickAt(point) {
    const found = this.#foundAt(point);
    if (!found) return null;
    if (!isCluster(found.properties)) return idOf(found.properties, this.#key);
    const zoom = this.#map.getZoom() + CLUSTER_ZOOM;
    this.#map.easeTo({ center: this.#map.unproject(point), zoom });
    return null;
  }

  #add(style) {
    for (const [id, source] of Object.entries(style.sources)) {
      this.#map.addSource(`tiles/${id}`, source);
      this.#sources.push(`tiles/${id}`);
    }
    for (const layer of style.layers.map(hoverable)) {
      this.#map.addLayer(layer, LOWEST_FEATURES);
      this.#layers.push(layer.id);
    }
  }

  #remove() {
    for (const layer of this.#layers) this.#map.removeLayer(layer);
    for (const source of this.#sources) this.#map.removeSource(source);
    this.#layers = [];
    this.#sources = [];
    this.#hovered = null;
  }

  // Layers are asked from above: MapLibre answers in the order in which they are drawn.
  #foundAt({ x, y }) {
    const square = [
      [x - PICK_PIXELS, y - PICK_PIXELS],
      [x + PICK_PIXELS, y + PICK_PIXELS],
    ];
    return this.#map.queryRenderedFeatures(square, { layers: this.#layers })[0];
  }

  // A feature that stands for several has no id.
  #mark(feature, hover) {
    if (feature?.id === undefined) return;
    const { source, sourceLayer, id } = feature;
    this.#map.setFeatureState({ source, sourceLayer, id }, { hover });
  }
}

async function fetchStyle(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}
