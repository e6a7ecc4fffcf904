import assert from "node:assert/strict";
import { test } from "node:test";

import {
  boxBetween,
  cornersOf,
  padBounds,
  polygonOf,
  wrapBox,
} from "../../../geosvc/static/boxes.js";

const close = (found, wanted) => {
  assert.equal(found.length, wanted.length);
  for (const [index, number] of found.entries()) {
    assert.ok(Math.abs(number - wanted[index]) < 1e-9, `${found} is not ${wanted}`);
  }
};

test("the corners of a box that crosses the antimeridian lie east of each other", () => {
  assert.deepEqual(cornersOf([170, -20, -170, 10]), [[170, -20], [190, 10]]);
  assert.deepEqual(cornersOf([5, 45, 12, 52]), [[5, 45], [12, 52]]);
});

test("corners stay within Web Mercator", () => {
  assert.deepEqual(cornersOf([-180, -90, 180, 90]), [[-180, -85], [180, 85]]);
});

test("a box becomes a closed ring", () => {
  const { type, geometry } = polygonOf([170, 0, -170, 10]);
  assert.equal(type, "Feature");
  assert.equal(geometry.type, "Polygon");
  const ring = [[170, 0], [190, 0], [190, 10], [170, 10], [170, 0]];
  assert.deepEqual(geometry.coordinates, [ring]);
});

test("a box of a map that repeats the world is brought back to one world", () => {
  assert.deepEqual(wrapBox([190, 0, 200, 10]), [-170, 0, -160, 10]);
  assert.deepEqual(wrapBox([-190, 0, -175, 10]), [170, 0, -175, 10]);
  assert.deepEqual(wrapBox([710, 0, 725, 10]), [-10, 0, 5, 10]);
  assert.deepEqual(wrapBox([-180, 0, 180, 10]), [-180, 0, 180, 10]);
});

test("a box of 360 degrees or more is the world", () => {
  assert.deepEqual(wrapBox([-200, -95, 300, 95]), [-180, -90, 180, 90]);
});

test("a box is rounded to four decimals", () => {
  assert.deepEqual(wrapBox([5.123456, 45.00005, 12, 52.99999]), [5.1235, 45.0001, 12, 53]);
});

test("a box is drawn from any of its corners", () => {
  const [one, other] = [{ lng: 12, lat: 45 }, { lng: 5, lat: 52 }];
  assert.deepEqual(boxBetween(one, other), [5, 45, 12, 52]);
  assert.deepEqual(boxBetween(other, one), [5, 45, 12, 52]);
  assert.deepEqual(boxBetween({ lng: 175, lat: 0 }, { lng: 185, lat: 1 }), [175, 0, -175, 1]);
});

test("padded bounds are a little larger, and within the world", () => {
  close(padBounds([5, 45, 12, 52]), [4.99999, 44.99999, 12.00001, 52.00001]);
  close(padBounds([-170, -90, 175, 90]), [-170.00001, -90, 175.00001, 90]);
});

test("padded bounds across the antimeridian have east < west", () => {
  close(padBounds([177, -18, 182, -16]), [176.99999, -18.00001, -177.99999, -15.99999]);
  close(padBounds([-180, 0, -170, 1]), [179.99999, -0.00001, -169.99999, 1.00001]);
  close(padBounds([170, 0, 180, 1]), [169.99999, -0.00001, -179.99999, 1.00001]);
});

test("padded bounds of the whole world are the world", () => {
  close(padBounds([-180, 0, 180, 1]), [-180, -0.00001, 180, 1.00001]);
});
