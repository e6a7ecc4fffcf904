// Changes as they are made (docs/live.md): the map and the table of a page follow the stream of changes of its collection. A page
// says from where on (data-after), so that nothing is missed between its query and the beginning of the stream.

import { keyOf } from "./features.js";
import { renewListing, rowKeys } from "./listing.js";

const EVENTS = ["insert", "update", "delete", "bulk", "resync"];
const PATIENCE_MS = 1000; // a connection that is back sooner was not worth a word
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;
const SETTLE_MS = 50;
const SPREAD_MS = 150; // those who were told at the same moment do not all ask at the same moment
const REST_MS = 1000; // between two renewals, or four times what the last one took
const NO_SELECTION = new Set(["bbox", "bbox-crs", "properties", "bigint"]);

const pause = milliseconds => new Promise(resolve => { setTimeout(resolve, milliseconds); });

// What an event says of one feature: { name, key, feature }, where one that is too large to be told has no feature.
export function changeOf(name, told) {
  const feature = told.type === "Feature" ? told : null;
  return { name, key: keyOf(told), feature };
}

// An address with where to go on from.
export function resumed(href, after) {
  const url = new URL(href, document.baseURI);
  if (after) url.searchParams.set("last-event-id", after);
  return url.href;
}

export function isNarrowed(href) {
  return [...new URL(href, document.baseURI).searchParams.keys()].some(name => !NO_SELECTION.has(name));
}

// An EventSource that also comes back where EventSource gives up (any answer but 200), and takes no connection while nobody looks:
// browsers have six for all tabs.
class Stream {
  #href;
  #after;
  #told;
  #state;
  #source = null;
  #failures = 0;
  #retry = null;
  #wanted = true;

  constructor(href, after, told, state) {
    [this.#href, this.#after, this.#told, this.#state] = [href, after, told, state];
    document.addEventListener("visibilitychange", () => this.#follow());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", event => event.persisted && this.#follow());
    this.#follow();
  }

  want(wanted) {
    this.#wanted = wanted;
    this.#follow();
  }

  end() {
    this.want(false);
  }

  #follow() {
    if (!this.#wanted || document.hidden) this.#close();
    else if (!this.#source && this.#retry === null) this.#open();
  }

  #close() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#source?.close();
    this.#source = null;
  }

  #open() {
    this.#retry = null;
    const source = this.#source = new EventSource(resumed(this.#href, this.#after));
    source.addEventListener("open", () => {
      this.#failures = 0;
      this.#state("live");
      if (!this.#after) this.#told("resync", {}); // nobody knows what was missed
    });
    source.addEventListener("error", () => {
      this.#state("reconnecting");
      if (source.readyState === EventSource.CLOSED && source === this.#source) this.#refused();
    });
    for (const name of EVENTS) {
      source.addEventListener(name, event => {
        this.#after = event.lastEventId;
        this.#told(name, JSON.parse(event.data));
      });
    }
  }

  async #refused() {
    this.#close();
    const wait = Math.min(FIRST_RETRY_MS * 2 ** this.#failures++, LAST_RETRY_MS) * (0.5 + Math.random());
    this.#retry = setTimeout(() => this.#open(), wait);
    const status = await fetch(resumed(this.#href, this.#after), { method: "HEAD" }).then(each => each.status, () => 0);
    if (status === 400) this.#after = "";
    if (status === 404 || status === 409) {
      this.end();
      this.#state("ended");
    }
  }
}

// Says how it stands, and pauses.
function controls(bar) {
  const [words, button] = [bar.querySelector("[data-live-state]"), bar.querySelector("button")];
  const texts = { live: "Live", reconnecting: "Reconnecting…", paused: "Paused", ended: "Not live any more" };
  let [shown, saying] = ["", null];
  const say = state => {
    clearTimeout(saying);
    if (state === shown) return;
    saying = setTimeout(() => {
      shown = bar.dataset.state = state;
      words.textContent = texts[state];
    }, state === "reconnecting" ? PATIENCE_MS : 0);
    button.hidden = state === "ended";
  };
  bar.hidden = false;
  return { say, button };
}

export async function followListing(bar, opening) {
  const listing = document.querySelector("[data-listing]");
  const shown = (await opening)?.shown;
  const { say, button } = controls(bar);
  const renewal = new Renewal(bar, listing, shown);
  const narrowed = isNarrowed(bar.dataset.live);
  const sorted = new URLSearchParams(location.search).has("sortby");
  const told = (name, content) => {
    if (name === "bulk" || name === "resync") return renewal.ask({ all: true });
    const change = changeOf(name, content);
    if (name === "delete" || change.feature) shown?.change([change]);
    else if (narrowed) renewal.ask({ all: true }); // whether it is selected, its address does not say
    else if (shown && (name === "insert" || shown.has(change.key))) shown.fetchAlone(change.key).catch(() => renewal.ask({ all: true }));
    if (name !== "update" || sorted || rowKeys(listing).has(change.key)) renewal.ask({});
  };
  const stream = new Stream(bar.dataset.live, bar.dataset.after, told, say);
  button.addEventListener("click", () => {
    const paused = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(paused));
    if (paused) say("paused");
    stream.want(!paused);
  });
}

// Fetches the table anew, and the features of the map where they are not known: once for all that was asked in a while.
class Renewal {
  #bar;
  #listing;
  #shown;
  #asked = false;
  #all = false;
  #running = false;

  constructor(bar, listing, shown) {
    [this.#bar, this.#listing, this.#shown] = [bar, listing, shown];
  }

  async ask({ all = false }) {
    this.#asked = true;
    this.#all ||= all;
    if (this.#running) return;
    this.#running = true;
    let failures = 0;
    await pause(SETTLE_MS + Math.random() * SPREAD_MS);
    while (this.#asked) {
      const [begun, everything] = [performance.now(), this.#all];
      this.#asked = this.#all = false;
      try {
        await this.#renew(everything);
        failures = 0;
      } catch (error) {
        if (error.name !== "AbortError") failures += 1;
        this.#asked = failures > 0;
        this.#all ||= everything;
      }
      this.#warn(failures > 1);
      const took = performance.now() - begun;
      await pause(Math.max(REST_MS * 2 ** Math.min(failures, 5), 4 * took));
    }
    this.#running = false;
  }

  async #renew(everything) {
    await renewListing(this.#listing);
    if (!this.#shown) return;
    const unknown = [...rowKeys(this.#listing)].some(key => !this.#shown.has(key));
    if (everything || unknown) await this.#shown.reload(everything);
    this.#shown.addRowButtons();
    this.#shown.markRows();
  }

  #warn(behind) {
    this.#bar.querySelector("[data-behind]").hidden = !behind;
  }
}

// One feature: says that it is another one now. The page stays as it was read, with its map.
export async function followFeature(hint, opening) {
  const shown = (await opening)?.shown;
  const bounds = shown?.bounds();
  const href = new URL(hint.dataset.live, document.baseURI);
  if (bounds) href.searchParams.set("bbox", boxOf(bounds).join(","));
  const say = text => {
    if (!text) return;
    hint.querySelector("[data-words]").textContent = text;
    hint.hidden = false;
  };
  const words = { same: "", changed: "This feature has changed.", gone: "This feature was deleted.", unknown: "This feature may have changed." };
  const told = async (name, content) => {
    const mine = keyOf(content) === hint.dataset.feature;
    if (!mine && name !== "bulk" && name !== "resync") return;
    const standing = shown ? await shown.standing().catch(() => "unknown") : "unknown";
    if (standing === "gone" || !mine) say(words[standing]);
    else say(words.changed);
  };
  new Stream(href.href, hint.dataset.after, told, () => {});
}

// a little larger than what was rounded when it was written
export function boxOf([west, south, east, north]) {
  const margin = 1e-5;
  const [left, right] = [west - margin, east + margin];
  const whole = right - left >= 360;
  const inside = lng => (lng > 180 ? lng - 360 : lng < -180 ? lng + 360 : lng);
  return [whole ? -180 : inside(left), Math.max(south - margin, -90), whole ? 180 : inside(right), Math.min(north + margin, 90)];
}
