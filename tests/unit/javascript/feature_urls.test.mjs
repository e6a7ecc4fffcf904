import assert from "node:assert/strict";
import { test } from "node:test";

import { featureUrl, pageUrl, zoomLevelFor } from "../../../geosvc/static/feature_urls.js";

const ITEMS = "https://example.org/geo/collections/places/items";

test("a page is asked for with big integers as strings", () => {
  assert.equal(pageUrl(`${ITEMS}?limit=20`, null).href, `${ITEMS}?limit=20&bigint=string`);
});

test("a page is asked for at a zoom level", () => {
  const url = pageUrl(`${ITEMS}?bigint=number&zoom-level=3`, 7);
  assert.equal(url.href, `${ITEMS}?bigint=string&zoom-level=7`);
});

test("a feature is asked for with the properties of the page and without its filter", () => {
  const url = featureUrl(`${ITEMS}?filter=a%3D1&properties=name,kind&limit=5`, "a/b ?", 0);
  assert.equal(url.pathname, "/geo/collections/places/items/a%2Fb%20%3F");
  const parameters = Object.fromEntries(url.searchParams);
  const wanted = { f: "geojson", bigint: "string", properties: "name,kind", "zoom-level": "0" };
  assert.deepEqual(parameters, wanted);
});

test("a feature of a page that selects no properties is asked for without any", () => {
  const { href } = featureUrl(`${ITEMS}/?properties=`, "1", null);
  assert.equal(href, `${ITEMS}/1?f=geojson&bigint=string&properties=`);
});

test("the zoom level is two finer than the map, and at most 30", () => {
  assert.equal(zoomLevelFor(0.6), 3);
  assert.equal(zoomLevelFor(4), 6);
  assert.equal(zoomLevelFor(29), 30);
});
