import assert from "node:assert/strict";
import { test } from "node:test";

import { hoverable, idOf, isCluster } from "../../../geosvc/static/tile_features.js";

test("an id is the value of the key, with all its digits", () => {
  assert.equal(idOf({ id: "9007199254740993", name: "x" }, ["id"]), "9007199254740993");
  assert.equal(idOf({ id: 0 }, ["id"]), "0");
});

test("an id of several columns has commas between them and escapes those within", () => {
  assert.equal(idOf({ room: 7, visitor: "a,b\\c" }, ["room", "visitor"]), "7,a\\,b\\\\c");
});

test("a feature without a key has no id", () => {
  assert.equal(idOf({ name: "x" }, []), null);
  assert.equal(idOf({ point_count: 3 }, ["id"]), null);
});

test("a feature that stands for several is a cluster", () => {
  assert.equal(isCluster({ point_count: 2 }), true);
  assert.equal(isCluster({ point_count: 1 }), false);
  assert.equal(isCluster({}), false);
});

test("a layer is stronger under the mouse", () => {
  const layer = { id: "a/fill", type: "fill", source: "a", paint: { "fill-opacity": 0.25 } };
  const made = hoverable(layer);
  assert.equal(made.id, "tiles/a/fill");
  assert.equal(made.source, "tiles/a");
  assert.equal(made.paint["fill-opacity"][2], 0.45);
  assert.equal(made.paint["fill-opacity"][3], 0.25);
  assert.equal(layer.paint["fill-opacity"], 0.25);
});
