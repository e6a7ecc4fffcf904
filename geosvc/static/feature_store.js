// The features of a page, kept up to date by the changes of their collection. Pure: no DOM and
// no map.

import { keyOf } from "./change_events.js";

/** @typedef {import("./change_events.js").Change} Change */

const MAX_NEWCOMERS = 1000;

/** Features by their keys, in their order. */
export class FeatureStore {
  #features = new Map();
  // Features that were inserted after the page was made; no answer for the page has them.
  #newcomers = new Set();
  // Changes that came while the page is being read, since the answer may not know them.
  #unread = null;

  /**
   * @param {string} key
   * @returns {boolean}
   */
  has(key) {
    return this.#features.has(key);
  }

  /**
   * @param {string} key
   * @returns {object | undefined}
   */
  get(key) {
    return this.#features.get(key);
  }

  /** @returns {Iterable<[string, object]>} keys and features */
  entries() {
    return this.#features.entries();
  }

  /** @returns {Iterable<object>} features */
  values() {
    return this.#features.values();
  }

  /** Forgets which features came after the page, since they may be gone. */
  forgetNewcomers() {
    this.#newcomers.clear();
  }

  /** From now on changes are kept, to be made again on the answer that is being read. */
  beginReading() {
    this.#unread ??= [];
  }

  /** The answer is there, or failed. */
  endReading() {
    this.#unread = null;
  }

  /**
   * Puts the features of an answer in the place of all others but newcomers.
   * @param {object[]} features
   */
  replace(features) {
    const fresh = new Map(features.map((each, index) => [keyOf(each) ?? `#${index}`, each]));
    for (const key of this.#newcomers) {
      if (fresh.has(key) || !this.#features.has(key)) this.#newcomers.delete(key);
      else fresh.set(key, this.#features.get(key));
    }
    this.#features = fresh;
    for (const change of this.#unread ?? []) this.#apply(change);
  }

  /**
   * Makes changes, in their order.
   * @param {Change[]} changes
   * @returns {Set<string>} the keys of the features that are other than before
   */
  change(changes) {
    this.#unread?.push(...changes);
    return new Set(changes.filter(change => this.#apply(change)).map(change => change.key));
  }

  // Returns whether anything changed: an update of a feature that is not on this page changes
  // nothing here.
  #apply({ name, key, feature }) {
    if (name === "delete") {
      this.#newcomers.delete(key);
      return this.#features.delete(key);
    }
    if (!this.#features.has(key)) {
      if (name === "update") return false;
      this.#addNewcomer(key);
    }
    this.#features.set(key, feature);
    return true;
  }

  // A busy table must not fill the memory of a page that stays open for days.
  #addNewcomer(key) {
    this.#newcomers.add(key);
    if (this.#newcomers.size <= MAX_NEWCOMERS) return;
    const [oldest] = this.#newcomers;
    this.#newcomers.delete(oldest);
    this.#features.delete(oldest);
  }
}
