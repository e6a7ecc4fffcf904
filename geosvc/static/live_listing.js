// A page of features that follows the changes of its collection (docs/live.md). The page says
// after which event it was read (data-after), so that no change is missed between its query and
// the beginning of the stream.

import { changeOf, isFiltered } from "./change_events.js";
import { ChangeStream } from "./change_stream.js";
import { rowKeys } from "./listing.js";
import { ListingRenewal } from "./listing_renewal.js";
import { LiveStatus } from "./live_status.js";

/**
 * Keeps the table and the map of a page as the collection is.
 * @param {HTMLElement} bar the element [data-live]
 * @param {Promise<{shown: object} | null>} opening the page's map
 */
export async function followListing(bar, opening) {
  const shown = (await opening)?.shown;
  const listing = document.querySelector("[data-listing]");
  const status = new LiveStatus(bar);
  const renewal = new ListingRenewal(listing, shown, status);
  const href = new URL(bar.dataset.live, document.baseURI).href;
  const follower = new ListingFollower(listing, shown, renewal, isFiltered(href));
  const onEvent = (name, content) => {
    follower.follow(name, content);
    shown?.renewTilesSoon();
  };
  const onState = state => status.show(state);
  const stream = new ChangeStream(href, bar.dataset.after, onEvent, onState);
  status.listen(paused => {
    if (paused) status.show("paused");
    stream.want(!paused);
  });
}

// What each event asks for.
class ListingFollower {
  #listing;
  #shown;
  #renewal;
  #filtered;
  #sorted = new URLSearchParams(location.search).has("sortby");

  constructor(listing, shown, renewal, filtered) {
    this.#listing = listing;
    this.#shown = shown;
    this.#renewal = renewal;
    this.#filtered = filtered;
  }

  follow(name, content) {
    if (name === "bulk" || name === "resync") {
      this.#renewal.askForEverything();
      return;
    }
    const change = changeOf(name, content);
    this.#changeMap(change);
    if (this.#movesRows(change)) this.#renewal.askForTable();
  }

  #changeMap(change) {
    if (change.name === "delete" || change.feature) this.#shown?.change([change]);
    else if (this.#filtered) this.#renewal.askForEverything();
    else if (this.#wantsFeature(change)) this.#fetchFeature(change.key);
  }

  // An update of a feature that is not on this page is not shown.
  #wantsFeature({ name, key }) {
    return this.#shown && (name === "insert" || this.#shown.has(key));
  }

  #fetchFeature(key) {
    this.#shown.fetchAlone(key).catch(() => this.#renewal.askForEverything());
  }

  // Without an order of the reader's, an update beyond the page moves nothing.
  #movesRows({ name, key }) {
    return name !== "update" || this.#sorted || rowKeys(this.#listing).has(key);
  }
}
