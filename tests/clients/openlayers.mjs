// What OpenLayers reads of the service at the address given, in the reference systems of a map:
// printed as JSON.
import GeoJSON from "ol/format/GeoJSON.js";
import { bbox } from "ol/loadingstrategy.js";
import { register } from "ol/proj/proj4.js";
import { get, transformExtent } from "ol/proj.js";
import VectorSource from "ol/source/Vector.js";
import proj4 from "proj4";

const base = process.argv[2];
const uri = (code) => `http://www.opengis.net/def/crs/EPSG/0/${code}`;
proj4.defs(
  "EPSG:25832",
  "+proj=utm +zone=32 +ellps=GRS80 +towgs84=0,0,0,0,0,0,0 +units=m +no_defs +type=crs",
);
register(proj4);

const asked = [];
const read = async (collection, parameters) => {
  const address = `${base}/collections/${collection}/items?${new URLSearchParams(parameters)}`;
  asked.push(address);
  const response = await fetch(address);
  if (!response.ok) throw new Error(await response.text());
  return { crs: response.headers.get("Content-Crs"), text: await response.text() };
};

const coordinatesOf = (each) => [each.getId(), each.getGeometry().getCoordinates()];

// features of a collection in the system of the map, as the service projects them
const inSystem = async (collection, code) => {
  const { crs, text } = await read(collection, { crs: uri(code), limit: 10000 });
  const projection = get(`EPSG:${code}`);
  const format = new GeoJSON({ dataProjection: projection, featureProjection: projection });
  return { crs, features: format.readFeatures(text).map(coordinatesOf) };
};

// features that OpenLayers projects itself, from what has no crs parameter
const projectedHere = async (collection, code) => {
  const { crs, text } = await read(collection, { limit: 10000 });
  const features = new GeoJSON({ featureProjection: `EPSG:${code}` }).readFeatures(text);
  return { crs, features: features.map(coordinatesOf) };
};

// a map in Web Mercator that loads what it shows
const shown = async (collection, extents) => {
  const source = new VectorSource({
    strategy: bbox,
    loader: async (extent, resolution, projection) => {
      const crs = uri(3857);
      const box = { bbox: extent.join(","), "bbox-crs": crs };
      const { text } = await read(collection, { ...box, crs, limit: 10000 });
      const format = new GeoJSON({ dataProjection: projection, featureProjection: projection });
      return format.readFeatures(text);
    },
  });
  const pages = [];
  for (const extent of extents) {
    const loaded = new Promise((resolve, reject) => {
      source.once("featuresloadend", resolve);
      source.once("featuresloaderror", () => reject(new Error(`${asked.at(-1)} was refused`)));
    });
    const inMetres = transformExtent(extent, "EPSG:4326", "EPSG:3857");
    source.loadFeatures(inMetres, 100, get("EPSG:3857"));
    await loaded;
    const found = source.getFeaturesInExtent(inMetres);
    pages.push({ extent: inMetres, ids: found.map((each) => each.getId()) });
  }
  const all = source.getFeatures().map((each) => [each.getId(), each.getProperties().name]);
  return { pages, all };
};

console.log(
  JSON.stringify({
    mercator: await inSystem("utm", 3857),
    utm: await inSystem("utm", 25832),
    projectedHere: await projectedHere("utm", 25832),
    shown: await shown("utm", [
      [7.6, 49.6, 7.7, 49.7],
      [7.65, 49.62, 7.9, 49.9],
    ]),
    asked,
  }),
);
