import assert from "node:assert/strict";
import { test } from "node:test";

import { FeatureStore } from "../../../geosvc/static/feature_store.js";

const feature = (id, name = "") => ({ type: "Feature", id, properties: { name } });
const insert = (id, name) => ({ name: "insert", key: String(id), feature: feature(id, name) });
const update = (id, name) => ({ name: "update", key: String(id), feature: feature(id, name) });
const remove = id => ({ name: "delete", key: String(id), feature: null });
const keys = store => [...store.entries()].map(([key]) => key);

const storeOf = (...ids) => {
  const store = new FeatureStore();
  store.replace(ids.map(id => feature(id)));
  return store;
};

test("features are known by their ids as text, and others by their places", () => {
  const store = new FeatureStore();
  store.replace([feature(7), { type: "Feature" }, feature("a")]);
  assert.deepEqual(keys(store), ["7", "#1", "a"]);
  assert.equal(store.get("7").id, 7);
  assert.equal(store.has("8"), false);
});

test("changes are made in their order, and the touched features told", () => {
  const store = storeOf(1, 2);
  const touched = store.change([insert(3), update(1, "new"), remove(2), remove(9)]);
  assert.deepEqual([...touched], ["3", "1", "2"]);
  assert.deepEqual(keys(store), ["1", "3"]);
  assert.equal(store.get("1").properties.name, "new");
});

test("an update of a feature that is not on the page is not shown", () => {
  const store = storeOf(1);
  assert.equal(store.change([update(2)]).size, 0);
  assert.deepEqual(keys(store), ["1"]);
});

test("an inserted feature stays when the page is read again, which does not have it", () => {
  const store = storeOf(1);
  store.change([insert(2)]);
  store.replace([feature(1)]);
  assert.deepEqual(keys(store), ["1", "2"]);
});

test("an inserted feature that the page had meanwhile goes with the page", () => {
  const store = storeOf(1);
  store.change([insert(2)]);
  store.replace([feature(1), feature(2)]);
  store.replace([feature(1)]);
  assert.deepEqual(keys(store), ["1"]);
});

test("forgotten newcomers go when the page is read again", () => {
  const store = storeOf(1);
  store.change([insert(2)]);
  store.forgetNewcomers();
  store.replace([feature(1)]);
  assert.deepEqual(keys(store), ["1"]);
});

test("what changes while the page is read holds against its answer", () => {
  const store = storeOf(1, 2);
  store.beginReading();
  store.change([remove(1), update(2, "new"), insert(3)]);
  store.replace([feature(1), feature(2, "old")]);
  store.endReading();
  assert.deepEqual(keys(store), ["2", "3"]);
  assert.equal(store.get("2").properties.name, "new");
});

test("changes before a reading are not made on its answer", () => {
  const store = storeOf(1);
  store.change([update(1, "earlier")]);
  store.beginReading();
  store.replace([feature(1, "answer")]);
  store.endReading();
  assert.equal(store.get("1").properties.name, "answer");
});

test("changes of a reading that has ended are not made on the next answer", () => {
  const store = storeOf(1);
  store.beginReading();
  store.change([remove(1)]);
  store.endReading();
  store.beginReading();
  store.replace([feature(1)]);
  assert.deepEqual(keys(store), ["1"]);
});

test("a second reading keeps the changes since the first one began", () => {
  const store = storeOf(1);
  store.beginReading();
  store.change([remove(1)]);
  store.beginReading();
  store.replace([feature(1)]);
  assert.deepEqual(keys(store), []);
});

test("at most a thousand newcomers are kept, and those of the page for ever", () => {
  const store = storeOf("page");
  store.change(Array.from({ length: 1005 }, (_, index) => insert(index)));
  assert.equal(keys(store).length, 1001);
  assert.equal(store.has("page"), true);
  assert.equal(store.has("4"), false);
  assert.equal(store.has("5"), true);
});
