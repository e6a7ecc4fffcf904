// The bar above a live table: it says how the stream is doing, and has a button that pauses it.

// A connection that is back within this time is not worth a word.
const PATIENCE_MS = 1000;
const WORDS = {
  live: "Live",
  reconnecting: "Reconnecting…",
  paused: "Paused",
  ended: "Not live any more",
};

/** The state of a stream, in words. */
export class LiveStatus {
  #bar;
  #button;
  #shown = "";
  #saying = null;

  /** @param {HTMLElement} bar with an element [data-live-state] and a button */
  constructor(bar) {
    this.#bar = bar;
    this.#button = bar.querySelector("button");
    bar.hidden = false;
  }

  /**
   * Shows a state.
   * @param {"live" | "reconnecting" | "paused" | "ended"} state
   */
  show(state) {
    clearTimeout(this.#saying);
    if (state === this.#shown) return;
    const wait = state === "reconnecting" ? PATIENCE_MS : 0;
    this.#saying = setTimeout(() => this.#write(state), wait);
    this.#button.hidden = state === "ended";
  }

  /**
   * Calls back whenever the reader pauses or goes on.
   * @param {(paused: boolean) => void} onPause
   */
  listen(onPause) {
    this.#button.addEventListener("click", () => {
      const paused = this.#button.getAttribute("aria-pressed") !== "true";
      this.#button.setAttribute("aria-pressed", String(paused));
      onPause(paused);
    });
  }

  /**
   * Says whether the page is behind the table, since it cannot be fetched.
   * @param {boolean} behind
   */
  warn(behind) {
    this.#bar.querySelector("[data-behind]").hidden = !behind;
  }

  #write(state) {
    this.#shown = state;
    this.#bar.dataset.state = state;
    this.#bar.querySelector("[data-live-state]").textContent = WORDS[state];
  }
}
