// A map of the features of a page: MapLibre GL JS, before the countries of the sample data or the base map of the settings.

const SHAPES = {
  polygons: ["match", ["geometry-type"], ["Polygon", "MultiPolygon"], true, false],
  lines: ["match", ["geometry-type"], ["Point", "MultiPoint"], false, true],
  points: ["match", ["geometry-type"], ["Point", "MultiPoint"], true, false],
};
const PICKABLE = ["feature-fill", "feature-line", "feature-spot", "feature-point"];
const EMPTY = { type: "FeatureCollection", features: [] };
const PICK_PIXELS = 5;
const SPECK_PIXELS = 6;
const TILE_PIXELS = 512; // of the world at zoom 0
const MAX_ZOOM = 15;
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

const picked = (yes, no) => ["case", ["boolean", ["feature-state", "picked"], false], yes, no];

function paints() {
  const feature = picked(colour("picked"), colour("feature"));
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

class ShownFeatures {
  #map;
  #section;
  #features = [];
  #picked = null;
  #level = null;
  #fetching = null;

  constructor(map, section) {
    this.#map = map;
    this.#section = section;
  }

  async load() {
    const heavy = "heavy" in this.#section.dataset;
    try {
      await this.#fetch(heavy ? this.#wantedLevel() : null);
    } catch (error) {
      this.#section.dataset.state = "failed";
      this.#say(`The features could not be drawn: ${error.message}`);
      return;
    }
    const bounds = boundsOf(this.#features);
    if (bounds && !this.#section.dataset.extent) this.#map.fitBounds(corners(bounds), { padding: 40, maxZoom: MAX_ZOOM, duration: 0 });
    if (heavy) {
      await this.#refine();
      this.#map.on("moveend", () => this.#refine());
    }
    if (this.#section.querySelector("[data-panel]")) {
      this.#map.on("click", event => this.#pickAt(event.point));
      this.#map.on("mousemove", event => this.#point(event.point));
      this.#addRowButtons();
    }
  }

  // features of many megabytes come as simple as this zoom lets one see
  #wantedLevel() {
    return Math.min(Math.ceil(this.#map.getZoom()) + 2, 30);
  }

  async #refine() {
    if (this.#wantedLevel() <= this.#level) return;
    try {
      await this.#fetch(this.#wantedLevel());
    } catch (error) {
      if (error.name !== "AbortError") this.#say(`Finer features could not be drawn: ${error.message}`);
    }
  }

  async #fetch(level) {
    this.#fetching?.abort();
    this.#fetching = new AbortController();
    const url = new URL(this.#section.dataset.features, location.href);
    url.searchParams.set("bigint", "string"); // numbers keep their digits
    if (level !== null) url.searchParams.set("zoom-level", String(level));
    const response = await fetch(url, { signal: this.#fetching.signal, headers: { Accept: "application/geo+json" } });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const found = await response.json();
    this.#level = level;
    this.#features = found.type === "Feature" ? [found] : found.features;
    const drawable = this.#features.map((feature, index) => ({ ...feature, id: index, properties: {} }));
    const collect = features => ({ type: "FeatureCollection", features });
    this.#map.getSource("features").setData(collect(drawable.filter(each => each.geometry)));
    this.#map.getSource("spots").setData(collect(drawable.map(spot).filter(Boolean)));
    const without = this.#features.filter(each => !each.geometry).length;
    if (without === this.#features.length) this.#say("Nothing here has a geometry.");
  }

  #say(text) {
    const note = document.createElement("p");
    note.className = "note over";
    note.setAttribute("role", "status");
    note.textContent = text;
    this.#section.querySelector(".note.over")?.remove();
    this.#section.querySelector("[data-canvas]").append(note);
  }

  #at({ x, y }) {
    const around = [[x - PICK_PIXELS, y - PICK_PIXELS], [x + PICK_PIXELS, y + PICK_PIXELS]];
    const found = this.#map.queryRenderedFeatures(around, { layers: PICKABLE });
    // a point or a line before the area that it lies in
    found.sort((a, b) => PICKABLE.indexOf(b.layer.id) - PICKABLE.indexOf(a.layer.id));
    return found[0]?.id ?? null;
  }

  #point(point) {
    if (this.#map.getContainer().dataset.drawing) return;
    this.#map.getCanvas().style.cursor = this.#at(point) === null ? "" : "pointer";
  }

  #pickAt(point) {
    if (!this.#map.getContainer().dataset.drawing) this.#pick(this.#at(point));
  }

  #pick(index) {
    for (const source of ["features", "spots"]) {
      if (this.#picked !== null) this.#map.setFeatureState({ source, id: this.#picked }, { picked: false });
      if (index !== null) this.#map.setFeatureState({ source, id: index }, { picked: true });
    }
    this.#picked = index;
    this.#rows().forEach((row, number) => row.classList.toggle("picked", number === index));
    const panel = this.#section.querySelector("[data-panel]");
    panel.replaceChildren(...(index === null ? [hint()] : describe(this.#features[index])));
  }

  #rows() {
    return [...document.querySelectorAll("[data-features-table] tbody tr")];
  }

  #addRowButtons() {
    this.#rows().forEach((row, index) => {
      if (!this.#features[index]?.geometry) return;
      const button = document.createElement("button");
      const name = row.querySelector("th").textContent.trim();
      button.type = "button";
      button.className = "locate";
      button.title = "Show on the map";
      button.setAttribute("aria-label", `Show ${name} on the map`);
      button.addEventListener("click", () => {
        this.#pick(index);
        const bounds = boundsOf([this.#features[index]]);
        if (bounds) this.#map.fitBounds(corners(bounds), { padding: 60, maxZoom: MAX_ZOOM });
        this.#section.scrollIntoView({ block: "nearest" });
      });
      row.querySelector("th").prepend(button);
    });
  }
}

function hint() {
  const text = document.createElement("p");
  text.className = "faint";
  text.textContent = "Click a feature on the map for its attributes.";
  return text;
}

function describe(feature) {
  const heading = document.createElement("h2");
  if (feature.id === undefined) heading.textContent = "Feature";
  else {
    const link = document.createElement("a");
    link.href = `items/${encodeURIComponent(feature.id)}`;
    link.textContent = String(feature.id);
    heading.append(link);
  }
  const list = document.createElement("dl");
  for (const [name, value] of Object.entries(feature.properties ?? {})) {
    const [line, term, detail] = ["div", "dt", "dd"].map(tag => document.createElement(tag));
    term.textContent = name;
    detail.textContent = value === null ? "NULL" : typeof value === "object" ? JSON.stringify(value) : String(value);
    if (value === null) detail.className = "null";
    line.append(term, detail);
    list.append(line);
  }
  return [heading, list];
}

function* positions(geometry) {
  if (!geometry) return;
  if (geometry.geometries) for (const each of geometry.geometries) yield* positions(each);
  else {
    const stack = [geometry.coordinates];
    while (stack.length) {
      const top = stack.pop();
      if (typeof top?.[0] === "number") yield top;
      else if (Array.isArray(top)) for (const each of top) stack.push(each);
    }
  }
}

// [west, south, east, north]; east lies beyond 180 where that makes the box narrower, as around Fiji
function boundsOf(features) {
  const all = [[Infinity, -Infinity], [Infinity, -Infinity]];
  let [south, north] = [Infinity, -Infinity];
  for (const feature of features) {
    for (const [lng, lat] of positions(feature.geometry)) {
      [lng, lng < 0 ? lng + 360 : lng].forEach((each, index) => {
        all[index][0] = Math.min(all[index][0], each);
        all[index][1] = Math.max(all[index][1], each);
      });
      south = Math.min(south, lat);
      north = Math.max(north, lat);
    }
  }
  if (south > north) return null;
  const [west, east] = all[1][1] - all[1][0] < all[0][1] - all[0][0] ? all[1] : all[0];
  return [west, south, east, north];
}

// where a line or an area is, until one is so near that it is more than a speck
function spot(feature) {
  const bounds = boundsOf([feature]);
  if (!bounds || feature.geometry.type.endsWith("Point")) return null;
  const [west, south, east, north] = bounds;
  const size = Math.max(east - west, north - south, 1e-9);
  const until = Math.log2((SPECK_PIXELS * 360) / (size * TILE_PIXELS));
  const geometry = { type: "Point", coordinates: [(west + east) / 2, (south + north) / 2] };
  return { type: "Feature", id: feature.id, properties: { until }, geometry };
}

// Web Mercator ends at 85 degrees
function corners([west, south, east, north]) {
  return [[west, Math.max(south, -85)], [east < west ? east + 360 : east, Math.min(north, 85)]];
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
