import assert from "node:assert/strict";
import { test } from "node:test";

import { spotOf } from "../../../geosvc/static/spots.js";

test("a line has a spot in its middle until it is six pixels long", () => {
  const geometry = { type: "LineString", coordinates: [[10, 50], [10 + 360 / 512, 50]] };
  const spot = spotOf({ id: 7, geometry });
  assert.equal(spot.id, 7);
  assert.deepEqual(spot.geometry, { type: "Point", coordinates: [10 + 180 / 512, 50] });
  // At zoom 0 the line is one pixel long, at zoom 2.58 six.
  assert.ok(Math.abs(spot.properties.until - Math.log2(6)) < 1e-9);
});

test("a line of no length has a spot at every zoom", () => {
  const spot = spotOf({ id: 1, geometry: { type: "LineString", coordinates: [[1, 2], [1, 2]] } });
  assert.ok(spot.properties.until > 24);
});

test("points and empty geometries have no spot", () => {
  const of = (type, coordinates) => spotOf({ id: 1, geometry: { type, coordinates } });
  assert.equal(of("Point", [1, 2]), null);
  assert.equal(of("MultiPoint", [[1, 2], [3, 4]]), null);
  assert.equal(of("Polygon", []), null);
});
