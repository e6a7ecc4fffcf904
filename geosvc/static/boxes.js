// Arithmetic of boxes in degrees, also across the antimeridian. Pure: no DOM and no map.

/**
 * West, south, east, north in degrees (WGS 84). A box with east < west crosses the antimeridian
 * (OGC 17-069r4 7.15.3).
 * @typedef {[number, number, number, number]} Box
 */

// Web Mercator ends near this latitude.
const MERCATOR_LATITUDE = 85;
// Four decimals are about ten metres: enough for a box that was drawn by hand.
const DRAWN_DECIMALS = 4;
// Coordinates are rounded when the service writes them, so the box of one must be a little larger.
const PADDING_DEGREES = 1e-5;

/**
 * The corners of a box as MapLibre wants them for its bounds.
 * @param {Box} box
 * @returns {[[number, number], [number, number]]} south-west and north-east, within Web Mercator;
 *   east is always greater than west
 */
export function cornersOf([west, south, east, north]) {
  const unwrappedEast = east < west ? east + 360 : east;
  return [
    [west, Math.max(south, -MERCATOR_LATITUDE)],
    [unwrappedEast, Math.min(north, MERCATOR_LATITUDE)],
  ];
}

/**
 * A box as a GeoJSON feature.
 * @param {Box} box
 * @returns {object} a feature with a Polygon, within Web Mercator
 */
export function polygonOf(box) {
  const [[west, south], [east, north]] = cornersOf(box);
  const ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
  const geometry = { type: "Polygon", coordinates: [ring] };
  return { type: "Feature", properties: {}, geometry };
}

/**
 * A box with longitudes in [-180, 180] and latitudes in [-90, 90], rounded.
 * @param {Box} box longitudes may lie beyond 180, as those of a map that repeats the world
 * @returns {Box} the whole world where the box is 360 degrees wide or more
 */
export function wrapBox([west, south, east, north]) {
  const isWhole = east - west >= 360;
  const wrapped = [
    isWhole ? -180 : wrapLongitude(west),
    clampLatitude(south),
    isWhole ? 180 : wrapLongitude(east),
    clampLatitude(north),
  ];
  return wrapped.map(degrees => Number(degrees.toFixed(DRAWN_DECIMALS)));
}

/**
 * The box between two opposite corners, in any order.
 * @param {{lng: number, lat: number}} one
 * @param {{lng: number, lat: number}} other
 * @returns {Box} as of `wrapBox`
 */
export function boxBetween(one, other) {
  return wrapBox([
    Math.min(one.lng, other.lng),
    Math.min(one.lat, other.lat),
    Math.max(one.lng, other.lng),
    Math.max(one.lat, other.lat),
  ]);
}

/**
 * A box that surely holds the stored geometry, whose coordinates were rounded when written.
 * @param {Box} bounds as of `boundsOf`
 * @returns {Box} a little larger, with longitudes in [-180, 180]
 */
export function padBounds([west, south, east, north]) {
  const left = west - PADDING_DEGREES;
  const right = east + PADDING_DEGREES;
  const isWhole = right - left >= 360;
  return [
    isWhole ? -180 : wrapLongitude(left),
    clampLatitude(south - PADDING_DEGREES),
    isWhole ? 180 : wrapLongitude(right),
    clampLatitude(north + PADDING_DEGREES),
  ];
}

function wrapLongitude(lng) {
  if (lng >= -180 && lng <= 180) return lng;
  return (((lng + 180) % 360) + 360) % 360 - 180;
}

function clampLatitude(lat) {
  return Math.max(-90, Math.min(90, lat));
}
