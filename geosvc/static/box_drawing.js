// A box that is drawn on the map with the mouse or a finger.

import { boxBetween } from "./boxes.js";

/** Draws boxes on a map; in the meantime the map is not moved by the mouse. */
export class BoxDrawing {
  #map;
  #canvas;
  #listeners = null;

  /** @param {object} map of MapLibre GL JS */
  constructor(map) {
    this.#map = map;
    this.#canvas = map.getCanvas();
  }

  /**
   * Begins; who calls ends it with `stop`.
   * @param {(box: import("./boxes.js").Box) => void} write called with each box on the way
   * @param {() => void} done called when the box is there, or the reader presses Escape
   */
  start(write, done) {
    this.#map.dragPan.disable();
    this.#map.getContainer().dataset.drawing = "yes";
    this.#canvas.style.cursor = "crosshair";
    this.#canvas.style.touchAction = "none";
    this.#listeners = new AbortController();
    this.#listen(write, done, this.#listeners.signal);
  }

  /** Gives the mouse back to the map. */
  stop() {
    this.#listeners?.abort();
    this.#listeners = null;
    this.#map.dragPan.enable();
    this.#canvas.style.cursor = "";
    this.#canvas.style.touchAction = "";
    // Later, so that the click that ends a drag picks no feature.
    setTimeout(() => this.#map.getContainer().removeAttribute("data-drawing"));
  }

  #listen(write, done, signal) {
    let start = null;
    const writeBox = event => {
      if (start) write(boxBetween(start, this.#placeOf(event)));
    };
    this.#canvas.addEventListener("pointerdown", event => {
      start = this.#placeOf(event);
      this.#canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
    }, { signal });
    this.#canvas.addEventListener("pointermove", writeBox, { signal });
    this.#canvas.addEventListener("pointerup", event => {
      writeBox(event);
      done();
    }, { signal });
    addEventListener("keydown", event => event.key === "Escape" && done(), { signal });
  }

  #placeOf(event) {
    const frame = this.#canvas.getBoundingClientRect();
    return this.#map.unproject([event.clientX - frame.left, event.clientY - frame.top]);
  }
}
