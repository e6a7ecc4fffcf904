// The stream of changes of a collection (server-sent events, docs/live.md).

import { resumeUrl } from "./change_events.js";
import { retryDelay } from "./delays.js";

const EVENTS = ["insert", "update", "delete", "bulk", "resync"];

/**
 * An EventSource that also comes back where EventSource gives up, which is after any answer but
 * 200. It takes no connection while the tab is hidden: over HTTP/1.1 browsers have six for all
 * tabs of a host.
 */
export class ChangeStream {
  #href;
  #lastEventId;
  #onEvent;
  #onState;
  #source = null;
  #failures = 0;
  #retry = null;
  #wanted = true;

  /**
   * @param {string} href absolute URL
   * @param {string} lastEventId where to begin: the event that the page knows last
   * @param {(name: string, content: object) => void} onEvent
   * @param {(state: "live" | "reconnecting" | "ended") => void} [onState]
   */
  constructor(href, lastEventId, onEvent, onState = () => {}) {
    this.#href = href;
    this.#lastEventId = lastEventId;
    this.#onEvent = onEvent;
    this.#onState = onState;
    document.addEventListener("visibilitychange", () => this.#follow());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", event => event.persisted && this.#follow());
    this.#follow();
  }

  /**
   * Opens or closes the stream.
   * @param {boolean} wanted
   */
  want(wanted) {
    this.#wanted = wanted;
    this.#follow();
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
    const source = new EventSource(resumeUrl(this.#href, this.#lastEventId));
    this.#source = source;
    source.addEventListener("open", () => this.#opened());
    source.addEventListener("error", () => this.#failed(source));
    for (const name of EVENTS) {
      source.addEventListener(name, event => {
        this.#lastEventId = event.lastEventId;
        this.#onEvent(name, JSON.parse(event.data));
      });
    }
  }

  #opened() {
    this.#failures = 0;
    this.#onState("live");
    // Without a place to go on from, nobody knows what was missed.
    if (!this.#lastEventId) this.#onEvent("resync", {});
  }

  #failed(source) {
    this.#onState("reconnecting");
    const gaveUp = source.readyState === EventSource.CLOSED;
    if (gaveUp && source === this.#source) this.#openLater();
  }

  async #openLater() {
    this.#close();
    this.#retry = setTimeout(() => this.#open(), retryDelay(this.#failures, Math.random()));
    this.#failures += 1;
    const status = await this.#askStatus();
    // 400: the service does not know the event any more. The next stream begins now.
    if (status === 400) this.#lastEventId = "";
    if (status === 404 || status === 409) {
      this.want(false);
      this.#onState("ended");
    }
  }

  // EventSource does not say with which status it was refused. 0 stands for no answer.
  async #askStatus() {
    const url = resumeUrl(this.#href, this.#lastEventId);
    return fetch(url, { method: "HEAD" }).then(response => response.status, () => 0);
  }
}
