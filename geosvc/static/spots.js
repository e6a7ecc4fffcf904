// Spots stand for lines and areas that are too small to be seen. Pure: no DOM and no map.

import { boundsOf } from "./bounds.js";

const SPECK_PIXELS = 6;
// The width of the world at zoom 0 in MapLibre.
const WORLD_PIXELS = 512;
const LEAST_DEGREES = 1e-9;

/**
 * A point in the middle of a line or an area.
 * @param {{id: number, geometry: object}} feature
 * @returns {object | null} a Point feature whose property `until` is the zoom at which the
 *   geometry itself is wider than a speck; null for points and for empty geometries
 */
export function spotOf(feature) {
  const bounds = boundsOf([feature]);
  if (!bounds || feature.geometry.type.endsWith("Point")) return null;
  const [west, south, east, north] = bounds;
  const degrees = Math.max(east - west, north - south, LEAST_DEGREES);
  const until = Math.log2((SPECK_PIXELS * 360) / (degrees * WORLD_PIXELS));
  const geometry = { type: "Point", coordinates: [(west + east) / 2, (south + north) / 2] };
  return { type: "Feature", id: feature.id, properties: { until }, geometry };
}
