import assert from "node:assert/strict";
import { test } from "node:test";

import { boundsOf } from "../../../geosvc/static/bounds.js";

const feature = (type, coordinates) => ({ geometry: { type, coordinates } });
const point = (lng, lat) => feature("Point", [lng, lat]);

const triangle = (x, y) => [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y]]];

test("the bounds hold every position of every kind of geometry", () => {
  const geometries = [
    feature("Point", [1, 2, 900]),
    feature("MultiPoint", [[3, 4], [-5, 6]]),
    feature("LineString", [[0, -7], [8, 0]]),
    feature("MultiPolygon", [triangle(9, 10), triangle(1, 1)]),
    { geometry: { type: "GeometryCollection", geometries: [point(12, 1).geometry] } },
  ];
  assert.deepEqual(boundsOf(geometries), [-5, -7, 12, 11]);
});

test("features without positions have no bounds", () => {
  const bare = [
    { geometry: null },
    feature("Polygon", []),
    feature("Point", []),
    { geometry: { type: "GeometryCollection", geometries: [] } },
  ];
  assert.equal(boundsOf([]), null);
  assert.equal(boundsOf(bare), null);
});

test("the bounds of islands on both sides of the antimeridian cross it", () => {
  const fiji = feature("MultiPolygon", [
    triangle(177, -18),
    triangle(179, -18),
    triangle(-180, -17),
  ]);
  assert.deepEqual(boundsOf([fiji]), [177, -18, 181, -16]);
  assert.deepEqual(boundsOf([point(-179, 0), point(179, 1)]), [179, 0, 181, 1]);
});

test("the bounds of the world have Greenwich in their middle", () => {
  const world = [-170, -100, 0, 100, 170].map(lng => point(lng, 0));
  assert.deepEqual(boundsOf(world), [-170, 0, 170, 0]);
});

test("a gap of a third of the world is bridged, unless more is empty at the antimeridian", () => {
  assert.deepEqual(boundsOf([point(-60, 0), point(70, 0)]), [-60, 0, 70, 0]);
  assert.deepEqual(boundsOf([point(-100, 0), point(100, 0)]), [100, 0, 260, 0]);
});

test("a line that is longer than half of the world is not cut", () => {
  const line = feature("LineString", [[-100, 0], [100, 0]]);
  assert.deepEqual(boundsOf([line, point(-50, 1), point(110, 0)]), [-100, 0, 110, 1]);
});

test("many positions need no deep stack", () => {
  const positions = Array.from({ length: 300_000 }, (_, index) => [index % 90, 1]);
  assert.deepEqual(boundsOf([feature("MultiPoint", positions)]), [0, 1, 89, 1]);
});
