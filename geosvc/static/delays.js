// How long scripts wait before they ask the service again, in milliseconds. Pure: no DOM.

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;
const SETTLE_MS = 50;
const SPREAD_MS = 150;
const REST_MS = 1000;
const MOST_DOUBLINGS = 5;

/**
 * The wait before a refused stream is opened again. It doubles with each failure.
 * @param {number} failures so far, from 0
 * @param {number} random from 0 to 1: spreads the clients of a service that starts again
 * @returns {number} milliseconds
 */
export function retryDelay(failures, random) {
  return Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS) * (0.5 + random);
}

/**
 * The wait between an event and the request that it causes: more events may follow, and all
 * subscribers hear of a change at the same moment, but must not all ask at that moment.
 * @param {number} random from 0 to 1
 * @returns {number} milliseconds
 */
export function settleDelay(random) {
  return SETTLE_MS + random * SPREAD_MS;
}

/**
 * The rest after a renewal: at least a second, and four times what the renewal took, so that one
 * page takes a fifth of the service's time for it at most.
 * @param {number} failures in a row
 * @param {number} tookMs milliseconds
 * @returns {number} milliseconds
 */
export function restDelay(failures, tookMs) {
  return Math.max(REST_MS * 2 ** Math.min(failures, MOST_DOUBLINGS), 4 * tookMs);
}
