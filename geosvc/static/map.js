// The map of a page: MapLibre GL JS with the features of the page on it.

import { BoxDrawing } from "./box_drawing.js";
import { cornersOf, wrapBox } from "./boxes.js";
import { MAX_ZOOM, addLayers, baseStyle, followColourScheme, showBox } from "./map_style.js";
import { ShownFeatures } from "./shown_features.js";

/**
 * What the other scripts do with a map.
 * @typedef {object} PageMap
 * @property {ShownFeatures} shown
 * @property {(box: import("./boxes.js").Box | null) => void} showBox
 * @property {() => import("./boxes.js").Box} view the box that the map shows
 * @property {BoxDrawing} drawing
 */

/**
 * Makes the map, and draws the features of the page.
 * @param {object} library MapLibre GL JS
 * @param {HTMLElement} section the element [data-map]
 * @returns {Promise<PageMap>} when everything is drawn
 */
export async function openMap(library, section) {
  const map = createMap(library, section);
  // For those who look at the page with the console of a browser.
  section.map = map;
  await new Promise(resolve => map.once("load", resolve));
  addLayers(map);
  followColourScheme(map);
  showExtent(map, section.dataset);
  const shown = new ShownFeatures(map, section);
  await shown.load();
  await drawn(map);
  section.dataset.state ??= "ready";
  return {
    shown,
    showBox: box => showBox(map, box),
    view: () => wrapBox(map.getBounds().toArray().flat()),
    drawing: new BoxDrawing(map),
  };
}

function createMap(library, section) {
  const canvas = section.querySelector("[data-canvas]");
  canvas.replaceChildren();
  const map = new library.Map({
    container: canvas,
    style: baseStyle(section.dataset),
    center: [0, 20],
    zoom: 0.6,
    maxZoom: 20,
    attributionControl: {
      compact: matchMedia("(max-width: 40rem)").matches,
      customAttribution: section.dataset.baseMapAttribution || undefined,
    },
    cooperativeGestures: matchMedia("(pointer: coarse)").matches,
    fadeDuration: 0,
    renderWorldCopies: true,
    dragRotate: false,
    pitchWithRotate: false,
    locale: { "Map.Title": section.dataset.label },
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new library.NavigationControl({ showCompass: false }));
  map.addControl(new library.ScaleControl(), "bottom-left");
  return map;
}

function showExtent(map, dataset) {
  if (!dataset.extent) return;
  const extent = dataset.extent.split(",").map(Number);
  if ("box" in dataset) showBox(map, extent);
  map.fitBounds(cornersOf(extent), { padding: 30, maxZoom: MAX_ZOOM, duration: 0 });
}

// A map that is idle already says so only after another frame.
function drawn(map) {
  return new Promise(resolve => {
    map.once("idle", resolve);
    map.triggerRepaint();
  });
}
