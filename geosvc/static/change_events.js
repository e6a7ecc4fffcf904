// The events of a collection's change stream, and the URLs to subscribe by (docs/live.md).
// Pure: no DOM and no map.

import { padBounds } from "./boxes.js";

/**
 * One change of one feature.
 * @typedef {object} Change
 * @property {"insert" | "update" | "delete"} name
 * @property {string | null} key the feature's id as text
 * @property {object | null} feature null when it was deleted, or is too large for an event
 */

// With these parameters alone, a feature can be fetched by its id and shown. With any other, such
// as `filter`, the answer does not say whether the page selects the feature.
const NOT_FILTERS = new Set(["bbox", "bbox-crs", "properties", "bigint"]);

/**
 * The id of a feature as text, by which the scripts know it everywhere.
 * @param {{id?: string | number | null}} feature
 * @returns {string | null} null without an id
 */
export function keyOf(feature) {
  return feature.id === undefined || feature.id === null ? null : String(feature.id);
}

/**
 * What an event says of one feature.
 * @param {"insert" | "update" | "delete"} name of the event
 * @param {object} content of the event: a feature, or its id alone
 * @returns {Change}
 */
export function changeOf(name, content) {
  return { name, key: keyOf(content), feature: content.type === "Feature" ? content : null };
}

/**
 * The URL by which a stream goes on after an event.
 * @param {string} href absolute URL of the stream
 * @param {string} lastEventId empty for a stream that begins now
 * @returns {string}
 */
export function resumeUrl(href, lastEventId) {
  const url = new URL(href);
  if (lastEventId) url.searchParams.set("last-event-id", lastEventId);
  return url.href;
}

/**
 * Whether a stream tells of some features only, by more than a box.
 * @param {string} href absolute URL of the stream
 * @returns {boolean}
 */
export function isFiltered(href) {
  return [...new URL(href).searchParams.keys()].some(name => !NOT_FILTERS.has(name));
}

/**
 * The URL of a stream that tells of one place only.
 * @param {string} href absolute URL of the stream
 * @param {import("./boxes.js").Box | null | undefined} bounds of a feature, if it has any
 * @returns {string}
 */
export function urlWithin(href, bounds) {
  const url = new URL(href);
  if (bounds) url.searchParams.set("bbox", padBounds(bounds).join(","));
  return url.href;
}
