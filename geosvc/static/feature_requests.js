// Requests for the features of a page.

import { featureUrl, pageUrl } from "./feature_urls.js";

/**
 * Asks for the features of a page, or for its only feature.
 * @param {string} href absolute URL
 * @param {number | null} zoomLevel null for exact geometries
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
export function requestPage(href, zoomLevel, signal) {
  return fetch(pageUrl(href, zoomLevel), { signal, headers: { Accept: "application/geo+json" } });
}

/**
 * Fetches one feature.
 * @param {string} href absolute URL of the items
 * @param {string} key the feature's id as text
 * @param {number | null} zoomLevel null for the exact geometry
 * @returns {Promise<object | null>} null when there is no such feature
 */
export async function fetchFeature(href, key, zoomLevel) {
  const response = await fetch(featureUrl(href, key, zoomLevel));
  return response.status === 404 ? null : readJson(response);
}

/**
 * The body of a response.
 * @param {Response} response
 * @returns {Promise<object>} rejected with the status as its message when it is not 2xx
 */
export async function readJson(response) {
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}
