import assert from "node:assert/strict";
import { test } from "node:test";

import { restDelay, retryDelay, settleDelay } from "../../../geosvc/static/delays.js";

test("the wait before another try doubles, up to half a minute", () => {
  const waits = [0, 1, 2, 4, 5, 50].map(failures => retryDelay(failures, 0.5));
  assert.deepEqual(waits, [1000, 2000, 4000, 16_000, 30_000, 30_000]);
});

test("the wait before another try is spread by half to either side", () => {
  assert.equal(retryDelay(0, 0), 500);
  assert.equal(retryDelay(0, 1), 1500);
});

test("requests after the same event are spread", () => {
  assert.equal(settleDelay(0), 50);
  assert.equal(settleDelay(1), 200);
});

test("a renewal takes a fifth of the time at most", () => {
  assert.equal(restDelay(0, 10), 1000);
  assert.equal(restDelay(0, 2000), 8000);
});

test("the rest doubles with each failure, up to 32 seconds", () => {
  const rests = [1, 2, 5, 9].map(failures => restDelay(failures, 10));
  assert.deepEqual(rests, [2000, 4000, 32_000, 32_000]);
});
