// The features of a page on its map: fetched, drawn, picked, and changed as somebody else changes them.

export const EMPTY = { type: "FeatureCollection", features: [] };
export const MAX_ZOOM = 15;
const PICKABLE = ["feature-fill", "feature-line", "feature-spot", "feature-point"];
const SOURCES = ["features", "spots"];
const PICK_PIXELS = 5;
const SPECK_PIXELS = 6;
const TILE_PIXELS = 512; // of the world at zoom 0
const FLASH_MS = 1500;
const MAX_NEWCOMERS = 1000;

export class ShownFeatures {
  #map;
  #section;
  #features = new Map(); // by their ids as text, as everything here
  #newcomers = new Set(); // those that came after the page
  #numbers = new Map(); // MapLibre wants whole numbers
  #keys = [];
  #picked = null;
  #level = null;
  #fetching = null;
  #meanwhile = null;
  #flashes = new Map();
  #frame = null;

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
    const bounds = this.bounds();
    if (bounds && !this.#section.dataset.extent) this.#map.fitBounds(corners(bounds), { padding: 40, maxZoom: MAX_ZOOM, duration: 0 });
    if (heavy) {
      await this.#refine();
      this.#map.on("moveend", () => this.#refine());
    }
    if (this.#section.querySelector("[data-panel]")) {
      this.#map.on("click", event => this.#pickAt(event.point));
      this.#map.on("mousemove", event => this.#point(event.point));
      this.addRowButtons();
    }
  }

  has(key) {
    return this.#features.has(key);
  }

  bounds() {
    return boundsOf(this.#features.values());
  }

  // Fetches everything anew; `forget` what came after the page, since it may be gone.
  async reload(forget) {
    if (forget) this.#newcomers.clear();
    await this.#fetch("heavy" in this.#section.dataset ? this.#wantedLevel() : null);
  }

  // changes: [{ name: "insert" | "update" | "delete", key, feature }], in their order
  change(changes) {
    this.#meanwhile?.push(...changes);
    const touched = new Set(changes.filter(each => this.#apply(each)).map(each => each.key));
    if (!touched.size) return;
    this.#frame ??= requestAnimationFrame(() => this.#draw());
    this.#flash([...touched].filter(key => this.#features.has(key)));
    if (!touched.has(this.#picked)) return;
    if (this.#features.has(this.#picked)) this.#describePicked();
    else this.#pick(null, "The picked feature was deleted, or is not selected any more.");
  }

  // one that is too large to be told of
  async fetchAlone(key) {
    const url = new URL(this.#section.dataset.features, location.href);
    const properties = url.searchParams.get("properties");
    url.pathname = `${url.pathname.replace(/\/$/, "")}/${encodeURIComponent(key)}`;
    url.search = "?f=geojson&bigint=string";
    if (properties !== null) url.searchParams.set("properties", properties);
    if (this.#level !== null) url.searchParams.set("zoom-level", String(this.#level));
    const response = await fetch(url);
    if (response.ok) this.change([{ name: "insert", key, feature: await response.json() }]);
    else if (response.status === 404) this.change([{ name: "delete", key }]);
    else throw new Error(`status ${response.status}`);
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

  // Whether the only feature of the page is as it was fetched: "same", "changed" or "gone".
  async standing() {
    const response = await this.#ask(this.#level);
    if (response.status === 404) return "gone";
    if (!response.ok) throw new Error(`status ${response.status}`);
    const [known] = this.#features.values();
    return JSON.stringify(await response.json()) === JSON.stringify(known) ? "same" : "changed";
  }

  #ask(level, signal) {
    const url = new URL(this.#section.dataset.features, location.href);
    url.searchParams.set("bigint", "string"); // numbers keep their digits
    if (level !== null) url.searchParams.set("zoom-level", String(level));
    return fetch(url, { signal, headers: { Accept: "application/geo+json" } });
  }

  async #fetch(level) {
    this.#fetching?.abort();
    const fetching = this.#fetching = new AbortController();
    this.#meanwhile ??= []; // what changes before the answer is there may not be in it
    try {
      const response = await this.#ask(level, fetching.signal);
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.#take(await response.json());
      this.#level = level;
    } finally {
      if (this.#fetching === fetching) this.#meanwhile = this.#fetching = null;
    }
  }

  #take(answer) {
    const found = answer.type === "Feature" ? [answer] : answer.features;
    const features = new Map(found.map((feature, index) => [keyOf(feature) ?? `#${index}`, feature]));
    for (const key of this.#newcomers) {
      if (features.has(key) || !this.#features.has(key)) this.#newcomers.delete(key);
      else features.set(key, this.#features.get(key));
    }
    this.#features = features;
    for (const each of this.#meanwhile) this.#apply(each);
    this.#draw();
    if (found.length && found.every(each => !each.geometry)) this.#say("Nothing here has a geometry.");
  }

  // Returns whether anything changed: what was changed elsewhere than on this page is not shown.
  #apply({ name, key, feature }) {
    const known = this.#features.has(key);
    if (name === "delete") {
      this.#newcomers.delete(key);
      return this.#features.delete(key);
    }
    if (name === "update" && !known) return false;
    if (!known) {
      this.#newcomers.add(key);
      if (this.#newcomers.size > MAX_NEWCOMERS) {
        const [first] = this.#newcomers;
        this.#newcomers.delete(first);
        this.#features.delete(first);
      }
    }
    this.#features.set(key, feature);
    return true;
  }

  #number(key) {
    if (!this.#numbers.has(key)) {
      this.#numbers.set(key, this.#keys.length);
      this.#keys.push(key);
    }
    return this.#numbers.get(key);
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const drawable = [...this.#features]
      .filter(([, feature]) => feature.geometry)
      .map(([key, { geometry }]) => ({ type: "Feature", id: this.#number(key), properties: {}, geometry }));
    const collect = features => ({ type: "FeatureCollection", features });
    this.#map.getSource("features").setData(collect(drawable));
    this.#map.getSource("spots").setData(collect(drawable.map(spot).filter(Boolean)));
  }

  #mark(key, state) {
    for (const source of SOURCES) this.#map.setFeatureState({ source, id: this.#number(key) }, state);
  }

  #flash(keys) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const key of keys) {
      clearTimeout(this.#flashes.get(key));
      this.#mark(key, { changed: true });
      this.#flashes.set(key, setTimeout(() => {
        this.#flashes.delete(key);
        this.#mark(key, { changed: false });
      }, FLASH_MS));
    }
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
    return found.map(each => this.#keys[each.id]).find(key => this.#features.has(key)) ?? null;
  }

  #point(point) {
    if (this.#map.getContainer().dataset.drawing) return;
    this.#map.getCanvas().style.cursor = this.#at(point) === null ? "" : "pointer";
  }

  #pickAt(point) {
    if (!this.#map.getContainer().dataset.drawing) this.#pick(this.#at(point));
  }

  #pick(key, otherwise = "Click a feature on the map for its attributes.") {
    if (this.#picked !== null) this.#mark(this.#picked, { picked: false });
    if (key !== null) this.#mark(key, { picked: true });
    this.#picked = key;
    this.markRows();
    if (key !== null) this.#describePicked();
    else this.#panel.replaceChildren(hint(otherwise));
  }

  get #panel() {
    return this.#section.querySelector("[data-panel]");
  }

  #describePicked() {
    this.#panel.replaceChildren(...describe(this.#features.get(this.#picked)));
  }

  #rows() {
    return [...document.querySelectorAll("[data-features-table] tbody tr")];
  }

  markRows() {
    this.#rows().forEach(row => row.classList.toggle("picked", row.dataset.feature === this.#picked));
  }

  addRowButtons() {
    for (const row of this.#rows()) {
      const key = row.dataset.feature;
      if (!this.#features.get(key)?.geometry || row.querySelector(".locate")) continue;
      const button = document.createElement("button");
      const name = row.querySelector("th").textContent.trim();
      button.type = "button";
      button.className = "locate";
      button.title = "Show on the map";
      button.setAttribute("aria-label", `Show ${name} on the map`);
      button.addEventListener("click", () => this.#show(key));
      row.querySelector("th").prepend(button);
    }
  }

  #show(key) {
    if (!this.#features.has(key)) return;
    this.#pick(key);
    const bounds = boundsOf([this.#features.get(key)]);
    if (bounds) this.#map.fitBounds(corners(bounds), { padding: 60, maxZoom: MAX_ZOOM });
    this.#section.scrollIntoView({ block: "nearest" });
  }
}

export function keyOf(feature) {
  return feature.id === undefined || feature.id === null ? null : String(feature.id);
}

function hint(words) {
  const text = document.createElement("p");
  text.className = "faint";
  text.textContent = words;
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
export function corners([west, south, east, north]) {
  return [[west, Math.max(south, -85)], [east < west ? east + 360 : east, Math.min(north, 85)]];
}
