// The bounds of geometries in degrees, also across the antimeridian. Pure: no DOM and no map.

/** @typedef {import("./boxes.js").Box} Box */

// A third of the world.
const WIDE_GAP_DEGREES = 120;

/**
 * The bounds of all geometries.
 * @param {Iterable<{geometry: object | null}>} features
 * @returns {Box | null} east is beyond 180 where the features lie on both sides of the
 *   antimeridian, as those of Fiji do; null without any geometry
 */
export function boundsOf(features) {
  const extents = [];
  for (const feature of features) {
    for (const piece of piecesOf(feature.geometry)) extents.push(extentOf(piece));
  }
  if (!extents.length) return null;
  const [west, east] = meridiansAround(extents);
  const south = extents.reduce((least, extent) => Math.min(least, extent[1]), Infinity);
  const north = extents.reduce((most, extent) => Math.max(most, extent[3]), -Infinity);
  return [west, south, east, north];
}

// The lines, rings and points of a geometry, as arrays of positions.
function* piecesOf(geometry) {
  if (geometry?.geometries) {
    for (const each of geometry.geometries) yield* piecesOf(each);
  } else if (geometry) {
    yield* piecesOfCoordinates(geometry.coordinates, geometry.type.endsWith("Point"));
  }
}

// A stack instead of recursion: generators within generators are slow for large geometries.
function* piecesOfCoordinates(coordinates, arePoints) {
  const stack = [coordinates];
  while (stack.length) {
    const top = stack.pop();
    if (isPosition(top)) yield [top];
    else if (isPosition(top?.[0]) && !arePoints) yield top;
    else if (Array.isArray(top)) top.forEach(each => stack.push(each));
  }
}

function isPosition(value) {
  return typeof value?.[0] === "number";
}

function extentOf(positions) {
  let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [lng, lat] of positions) {
    west = Math.min(west, lng);
    south = Math.min(south, lat);
    east = Math.max(east, lng);
    north = Math.max(north, lat);
  }
  return [west, south, east, north];
}

// The western and the eastern meridian around all extents. They cross the antimeridian only
// where at least a third of the world is empty elsewhere: a map of the whole world has Greenwich
// in its middle.
function meridiansAround(extents) {
  const sorted = [...extents].sort((one, other) => one[0] - other[0]);
  const west = sorted[0][0];
  let reached = sorted[0][2];
  let widest = { width: WIDE_GAP_DEGREES, from: null, to: null };
  for (const [start, , end] of sorted) {
    const width = start - reached;
    if (width > widest.width) widest = { width, from: reached, to: start };
    reached = Math.max(reached, end);
  }
  const outside = west + 360 - reached;
  if (widest.from === null || outside >= widest.width) return [west, reached];
  return [widest.to, widest.from + 360];
}
