// How the map looks: the layers of the page's map and their colours, which come from geosvc.css.

import { polygonOf } from "./boxes.js";

/** The zoom that features are brought to at the most. */
export const MAX_ZOOM = 15;
/** The sources that features are drawn from. */
export const FEATURE_SOURCES = ["features", "spots"];
/** The layers that features are drawn by, from the lowest to the highest. */
export const FEATURE_LAYERS = ["feature-fill", "feature-line", "feature-spot", "feature-point"];

const EMPTY = { type: "FeatureCollection", features: [] };
const GEOMETRY_TYPE = ["geometry-type"];
const POLYGONS = ["match", GEOMETRY_TYPE, ["Polygon", "MultiPolygon"], true, false];
const LINES_AND_OUTLINES = ["match", GEOMETRY_TYPE, ["Point", "MultiPoint"], false, true];
const POINTS = ["match", GEOMETRY_TYPE, ["Point", "MultiPoint"], true, false];
// The maps whose tiles have colours by a property: features of the page do not cover those.
const coloured = new WeakSet();
// A spot is there until its line or area can be seen.
const SMALL = ["<", ["zoom"], ["get", "until"]];

/**
 * The style to begin with: the base map of the settings, or the countries of the sample data.
 * @param {{countries: string, baseMap?: string}} dataset of the map's section: URLs
 * @returns {string | object} the URL of a style, or a style
 */
export function baseStyle({ countries, baseMap }) {
  if (!baseMap) return countriesStyle(new URL(countries, document.baseURI).href);
  return baseMap.includes("{z}") ? rasterStyle(baseMap) : baseMap;
}

function rasterStyle(tiles) {
  return {
    version: 8,
    sources: { base: { type: "raster", tiles: [tiles], tileSize: 256 } },
    layers: [seaLayer(), { id: "base", type: "raster", source: "base" }],
  };
}

function countriesStyle(data) {
  const source = "countries";
  const borders = { "line-color": colourOf("border"), "line-width": 0.8 };
  return {
    version: 8,
    sources: { countries: { type: "geojson", data, attribution: "Made with Natural Earth" } },
    layers: [
      seaLayer(),
      { id: "land", type: "fill", source, paint: { "fill-color": colourOf("land") } },
      { id: "borders", type: "line", source, paint: borders },
    ],
  };
}

function seaLayer() {
  return { id: "sea", type: "background", paint: { "background-color": colourOf("sea") } };
}

/**
 * A colour of the map in the present scheme.
 * @param {string} name as geosvc.css has it after `--map-`
 * @returns {string}
 */
export function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--map-${name}`).trim();
}

/**
 * Adds the layers of features and of the drawn box, all of them empty.
 * @param {object} map of MapLibre GL JS
 */
export function addLayers(map) {
  for (const source of [...FEATURE_SOURCES, "box"]) {
    map.addSource(source, { type: "geojson", data: EMPTY });
  }
  const paints = paintsByLayer(map);
  for (const layer of layers()) {
    map.addLayer({ ...layer, paint: { ...paints[layer.id], ...layer.paint } });
  }
}

function layers() {
  const dashed = { "line-width": 2, "line-dasharray": [3, 2] };
  const round = { "line-join": "round" };
  return [
    { id: "feature-fill", type: "fill", source: "features", filter: POLYGONS },
    {
      id: "feature-line",
      type: "line",
      source: "features",
      filter: LINES_AND_OUTLINES,
      layout: round,
    },
    { id: "feature-spot", type: "circle", source: "spots", filter: SMALL },
    {
      id: "feature-point",
      type: "circle",
      source: "features",
      filter: POINTS,
      paint: { "circle-stroke-width": 1.5 },
    },
    { id: "box-fill", type: "fill", source: "box", paint: { "fill-opacity": 0.12 } },
    { id: "box-line", type: "line", source: "box", paint: dashed },
  ];
}

// What depends on the scheme of colours, or on the state of a feature.
function paintsByLayer(map) {
  const colour = featureColour();
  const shown = opacity => whenMarked(1, coloured.has(map) ? 0 : opacity);
  return {
    "sea": { "background-color": colourOf("sea") },
    "land": { "fill-color": colourOf("land") },
    "borders": { "line-color": colourOf("border") },
    "feature-fill": {
      "fill-color": colour,
      "fill-opacity": whenMarked(0.45, coloured.has(map) ? 0 : 0.25),
    },
    "feature-line": {
      "line-color": colour,
      "line-width": whenMarked(3.5, 1.6),
      "line-opacity": shown(1),
    },
    "feature-point": {
      "circle-color": colour,
      "circle-stroke-color": colourOf("halo"),
      "circle-radius": whenMarked(8, 5),
      "circle-opacity": shown(1),
      "circle-stroke-opacity": shown(1),
    },
    "feature-spot": {
      "circle-color": colour,
      "circle-opacity": shown(0.8),
      "circle-radius": whenMarked(6, 3.5),
    },
    "box-fill": { "fill-color": colourOf("box") },
    "box-line": { "line-color": colourOf("box") },
  };
}

function featureColour() {
  const changed = [hasState("changed"), colourOf("changed")];
  const picked = [hasState("picked"), colourOf("picked")];
  return ["case", ...changed, ...picked, colourOf("feature")];
}

function whenMarked(marked, otherwise) {
  return ["case", ["any", hasState("picked"), hasState("changed")], marked, otherwise];
}

function hasState(name) {
  return ["boolean", ["feature-state", name], false];
}

/**
 * Paints the map anew whenever the reader changes between light and dark.
 * @param {object} map of MapLibre GL JS
 */
export function followColourScheme(map) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint(map));
}

/**
 * Shows the features of the page in their own colour, or only those that are picked or have
 * changed, so that the colours of the tiles below can be seen.
 * @param {object} map of MapLibre GL JS
 * @param {boolean} plainly
 */
export function showFeaturesPlainly(map, plainly) {
  if (plainly) coloured.delete(map);
  else coloured.add(map);
  paint(map);
}

function paint(map) {
  const present = Object.entries(paintsByLayer(map)).filter(([layer]) => map.getLayer(layer));
  for (const [layer, properties] of present) {
    for (const [name, value] of Object.entries(properties)) {
      map.setPaintProperty(layer, name, value);
    }
  }
}

/**
 * Shows a box on the map.
 * @param {object} map of MapLibre GL JS
 * @param {import("./boxes.js").Box | null} box null for none
 */
export function showBox(map, box) {
  map.getSource("box").setData(box ? polygonOf(box) : EMPTY);
}
