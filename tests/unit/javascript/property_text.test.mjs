import assert from "node:assert/strict";
import { test } from "node:test";

import { propertyText } from "../../../geosvc/static/property_text.js";

test("values are written as people read them", () => {
  assert.equal(propertyText("Fiji"), "Fiji");
  assert.equal(propertyText(""), "");
  assert.equal(propertyText(0), "0");
  assert.equal(propertyText(false), "false");
  assert.equal(propertyText(null), "NULL");
});

test("arrays and objects are written as JSON", () => {
  assert.equal(propertyText([1, null, "a"]), '[1,null,"a"]');
  assert.equal(propertyText({ a: { b: 1 } }), '{"a":{"b":1}}');
});
