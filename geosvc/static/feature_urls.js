// The URLs by which the map asks for features. Pure: no DOM and no map.

const LAST_ZOOM_LEVEL = 30;

/**
 * The `zoom-level` to ask for: geometries of many megabytes are simplified by the service.
 * @param {number} zoom of the map
 * @returns {number} two levels finer than the map, so that a little zooming in needs no request
 */
export function zoomLevelFor(zoom) {
  return Math.min(Math.ceil(zoom) + 2, LAST_ZOOM_LEVEL);
}

/**
 * The features of a page. Big integers come as strings, since JSON.parse would round them.
 * @param {string} href absolute URL of the items or the item of the page
 * @param {number | null} zoomLevel null for exact geometries
 * @returns {URL}
 */
export function pageUrl(href, zoomLevel) {
  const url = new URL(href);
  url.searchParams.set("bigint", "string");
  if (zoomLevel !== null) url.searchParams.set("zoom-level", String(zoomLevel));
  return url;
}

/**
 * One feature, with the properties that the page has selected.
 * @param {string} href absolute URL of the items of the page
 * @param {string} key the feature's id as text
 * @param {number | null} zoomLevel null for the exact geometry
 * @returns {URL}
 */
export function featureUrl(href, key, zoomLevel) {
  const url = new URL(href);
  const properties = url.searchParams.get("properties");
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${encodeURIComponent(key)}`;
  url.search = "?f=geojson&bigint=string";
  if (properties !== null) url.searchParams.set("properties", properties);
  if (zoomLevel !== null) url.searchParams.set("zoom-level", String(zoomLevel));
  return url;
}
