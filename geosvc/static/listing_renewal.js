// When the table of features, and the features of the map, are fetched again.

import { restDelay, settleDelay } from "./delays.js";
import { renewListing, rowKeys } from "./listing.js";

/** Renews the page: once for all that is asked for in a while. */
export class ListingRenewal {
  #listing;
  #shown;
  #status;
  #asked = false;
  #everything = false;
  #running = false;
  #failures = 0;

  /**
   * @param {HTMLElement} listing the element [data-listing]
   * @param {import("./shown_features.js").ShownFeatures | undefined} shown absent without a map
   * @param {import("./live_status.js").LiveStatus} status
   */
  constructor(listing, shown, status) {
    this.#listing = listing;
    this.#shown = shown;
    this.#status = status;
  }

  /** Asks for the table, and for the map only where it lacks a feature of the table. */
  askForTable() {
    this.#ask(false);
  }

  /** Asks for the table and for all features of the map. */
  askForEverything() {
    this.#ask(true);
  }

  async #ask(everything) {
    this.#asked = true;
    this.#everything ||= everything;
    if (this.#running) return;
    this.#running = true;
    this.#failures = 0;
    await pause(settleDelay(Math.random()));
    while (this.#asked) {
      const begun = performance.now();
      await this.#attempt();
      this.#status.warn(this.#failures > 1);
      await pause(restDelay(this.#failures, performance.now() - begun));
    }
    this.#running = false;
  }

  async #attempt() {
    const everything = this.#everything;
    this.#asked = false;
    this.#everything = false;
    try {
      await this.#renew(everything);
      this.#failures = 0;
    } catch (error) {
      if (error.name !== "AbortError") this.#failures += 1;
      this.#asked ||= this.#failures > 0;
      this.#everything ||= everything;
    }
  }

  async #renew(everything) {
    await renewListing(this.#listing);
    if (!this.#shown) return;
    const isUnknown = key => !this.#shown.has(key);
    if (everything || [...rowKeys(this.#listing)].some(isUnknown)) {
      await this.#shown.reload(everything);
    }
    this.#shown.addRowButtons();
    this.#shown.markRows();
  }
}

function pause(milliseconds) {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}
