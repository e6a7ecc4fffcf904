import assert from "node:assert/strict";
import { test } from "node:test";

import {
  changeOf,
  isFiltered,
  keyOf,
  resumeUrl,
  urlWithin,
} from "../../../geosvc/static/change_events.js";

const STREAM = "https://example.org/collections/places/changes";

test("the key of a feature is its id as text", () => {
  assert.equal(keyOf({ id: 7 }), "7");
  assert.equal(keyOf({ id: 0 }), "0");
  assert.equal(keyOf({ id: "" }), "");
  assert.equal(keyOf({ id: null }), null);
  assert.equal(keyOf({}), null);
});

test("an event with a feature is a change with it", () => {
  const feature = { type: "Feature", id: 7, geometry: null, properties: {} };
  assert.deepEqual(changeOf("insert", feature), { name: "insert", key: "7", feature });
});

test("an event with an id alone is a change without a feature", () => {
  assert.deepEqual(changeOf("delete", { id: 7 }), { name: "delete", key: "7", feature: null });
});

test("a stream goes on after the last event", () => {
  assert.equal(resumeUrl(`${STREAM}?a=1`, "12-3"), `${STREAM}?a=1&last-event-id=12-3`);
  assert.equal(resumeUrl(`${STREAM}?last-event-id=1`, "2"), `${STREAM}?last-event-id=2`);
  assert.equal(resumeUrl(STREAM, ""), STREAM);
});

test("a box and a choice of properties are no filter", () => {
  const chosen = "bbox=1,2,3,4&bbox-crs=EPSG:4326&properties=name&bigint=string";
  assert.equal(isFiltered(STREAM), false);
  assert.equal(isFiltered(`${STREAM}?${chosen}`), false);
  assert.equal(isFiltered(`${STREAM}?${chosen}&filter=a%3D1`), true);
  assert.equal(isFiltered(`${STREAM}?name=a`), true);
});

test("a stream of one place has the padded bounds as its bbox", () => {
  const bbox = new URL(urlWithin(STREAM, [177, -18, 182, -16])).searchParams.get("bbox");
  const [west, , east] = bbox.split(",").map(Number);
  assert.ok(west < 177 && east > -178 && east < -177.9);
  assert.equal(urlWithin(STREAM, null), STREAM);
  assert.equal(urlWithin(STREAM, undefined), STREAM);
});
