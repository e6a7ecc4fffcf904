// A map of the features of a page: MapLibre GL JS, before the countries of the sample data or the base map of the settings.

import { EMPTY, MAX_ZOOM, ShownFeatures, corners } from "./features.js";

const SHAPES = {
  polygons: ["match", ["geometry-type"], ["Polygon", "MultiPolygon"], true, false],
  lines: ["match", ["geometry-type"], ["Point", "MultiPoint"], false, true],
  points: ["match", ["geometry-type"], ["Point", "MultiPoint"], true, false],
};
const DRAWN_DECIMALS = 4;

export async function openMap(section) {
  const library = await import(new URL(section.dataset.library, document.baseURI).href);
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
    locale: { "Map.Title": section.getAttribute("aria-label") },
  });
  section.map = map; // for those who look at the page with a console
  map.touchZoomRotate.disableRotation();
  map.addControl(new library.NavigationControl({ showCompass: false }));
  map.addControl(new library.ScaleControl(), "bottom-left");
  await new Promise(resolve => map.once("load", resolve));
  addLayers(map);
  followColours(map);
  const shown = new ShownFeatures(map, section);
  const extent = section.dataset.extent?.split(",").map(Number);
  if (extent) {
    if ("box" in section.dataset) setBox(map, extent);
    map.fitBounds(corners(extent), { padding: 30, maxZoom: MAX_ZOOM, duration: 0 });
  }
  if (section.dataset.features) await shown.load();
  await new Promise(resolve => { map.once("idle", resolve); map.triggerRepaint(); });
  section.dataset.state = section.dataset.state ?? "ready";
  return {
    shown,
    showBox: box => setBox(map, box),
    view: () => wrap(map.getBounds().toArray().flat()),
    ...drawing(map),
  };
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--map-${name}`).trim();
}

function baseStyle({ countries, baseMap }) {
  if (baseMap && !baseMap.includes("{z}")) return baseMap;
  const sea = { id: "sea", type: "background", paint: { "background-color": colour("sea") } };
  if (baseMap) {
    const base = { type: "raster", tiles: [baseMap], tileSize: 256 };
    return { version: 8, sources: { base }, layers: [sea, { id: "base", type: "raster", source: "base" }] };
  }
  return {
    version: 8,
    sources: {
      countries: { type: "geojson", data: new URL(countries, document.baseURI).href, attribution: "Made with Natural Earth" },
    },
    layers: [
      sea,
      { id: "land", type: "fill", source: "countries", paint: { "fill-color": colour("land") } },
      { id: "borders", type: "line", source: "countries", paint: { "line-color": colour("border"), "line-width": 0.8 } },
    ],
  };
}

const marked = state => ["boolean", ["feature-state", state], false];
const picked = (yes, no) => ["case", ["any", marked("picked"), marked("changed")], yes, no];

function paints() {
  const feature = ["case", marked("changed"), colour("changed"), marked("picked"), colour("picked"), colour("feature")];
  return {
    "sea": { "background-color": colour("sea") },
    "land": { "fill-color": colour("land") },
    "borders": { "line-color": colour("border") },
    "feature-fill": { "fill-color": feature, "fill-opacity": picked(0.45, 0.25) },
    "feature-line": { "line-color": feature, "line-width": picked(3.5, 1.6) },
    "feature-point": { "circle-color": feature, "circle-stroke-color": colour("halo"), "circle-radius": picked(8, 5) },
    "feature-spot": { "circle-color": feature, "circle-opacity": 0.8, "circle-radius": picked(6, 3.5) },
    "box-fill": { "fill-color": colour("box") },
    "box-line": { "line-color": colour("box") },
  };
}

function addLayers(map) {
  const all = paints();
  map.addSource("features", { type: "geojson", data: EMPTY });
  map.addSource("spots", { type: "geojson", data: EMPTY });
  map.addSource("box", { type: "geojson", data: EMPTY });
  const add = (id, type, source, more = {}, paint = {}) =>
    map.addLayer({ id, type, source, ...more, paint: { ...all[id], ...paint } });
  add("feature-fill", "fill", "features", { filter: SHAPES.polygons });
  add("feature-line", "line", "features", { filter: SHAPES.lines, layout: { "line-join": "round" } });
  add("feature-spot", "circle", "spots", { filter: ["<", ["zoom"], ["get", "until"]] });
  add("feature-point", "circle", "features", { filter: SHAPES.points }, { "circle-stroke-width": 1.5 });
  add("box-fill", "fill", "box", {}, { "fill-opacity": 0.12 });
  add("box-line", "line", "box", {}, { "line-width": 2, "line-dasharray": [3, 2] });
}

function followColours(map) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [layer, paint] of Object.entries(paints())) {
      if (!map.getLayer(layer)) continue;
      for (const [name, value] of Object.entries(paint)) map.setPaintProperty(layer, name, value);
    }
  });
}

function setBox(map, box) {
  if (!box) return map.getSource("box").setData(EMPTY);
  const [[west, south], [east, north]] = corners(box);
  const ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
  map.getSource("box").setData({ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [ring] } });
}

function wrap([west, south, east, north]) {
  const round = number => Number(number.toFixed(DRAWN_DECIMALS));
  const inside = lng => (lng >= -180 && lng <= 180 ? lng : ((lng + 180) % 360 + 360) % 360 - 180);
  const world = east - west >= 360;
  const clamp = lat => Math.max(-90, Math.min(90, lat));
  return [world ? -180 : inside(west), clamp(south), world ? 180 : inside(east), clamp(north)].map(round);
}

function drawing(map) {
  const canvas = map.getCanvas();
  let listeners = null;

  function stopDrawing() {
    listeners?.abort();
    listeners = null;
    map.dragPan.enable();
    canvas.style.cursor = "";
    canvas.style.touchAction = "";
    // the click that ends a drag picks nothing
    setTimeout(() => { delete map.getContainer().dataset.drawing; });
  }

  function drawBox(write, done) {
    listeners = new AbortController();
    const { signal } = listeners;
    let start = null;
    map.dragPan.disable();
    map.getContainer().dataset.drawing = "yes";
    canvas.style.cursor = "crosshair";
    canvas.style.touchAction = "none";
    const place = event => {
      const frame = canvas.getBoundingClientRect();
      return map.unproject([event.clientX - frame.left, event.clientY - frame.top]);
    };
    const box = (a, b) =>
      wrap([Math.min(a.lng, b.lng), Math.min(a.lat, b.lat), Math.max(a.lng, b.lng), Math.max(a.lat, b.lat)]);
    canvas.addEventListener("pointerdown", event => {
      start = place(event);
      canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
    }, { signal });
    canvas.addEventListener("pointermove", event => start && write(box(start, place(event))), { signal });
    canvas.addEventListener("pointerup", event => {
      if (start) write(box(start, place(event)));
      done();
    }, { signal });
    addEventListener("keydown", event => event.key === "Escape" && done(), { signal });
  }

  return { drawBox, stopDrawing };
}
