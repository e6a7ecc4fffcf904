// The panel beside a map: the properties of the picked feature.

import { propertyText } from "./property_text.js";

/** A panel that takes room only while there is something in it. */
export class FeaturePanel {
  #section;
  #onResize;

  /**
   * @param {HTMLElement} section of the map, with an element [data-panel]
   * @param {() => void} onResize called when the map has more room or less
   */
  constructor(section, onResize) {
    this.#section = section;
    this.#onResize = onResize;
  }

  /**
   * Shows the properties of a feature.
   * @param {object} feature
   * @param {() => void} close called by the panel's button
   */
  show(feature, close) {
    this.#fill([closeButton(close), headingOf(feature), propertyList(feature.properties ?? {})]);
  }

  /**
   * Shows a sentence.
   * @param {string} words
   */
  say(words) {
    const text = document.createElement("p");
    text.className = "faint";
    text.textContent = words;
    this.#fill([text]);
  }

  /** Gives the room back to the map. */
  clear() {
    this.#fill([]);
  }

  #fill(content) {
    this.#section.querySelector("[data-panel]").replaceChildren(...content);
    this.#section.classList.toggle("with-panel", content.length > 0);
    this.#onResize();
  }
}

function closeButton(close) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "close";
  button.textContent = "Close";
  button.addEventListener("click", close);
  return button;
}

function headingOf(feature) {
  const heading = document.createElement("h2");
  if (feature.id === undefined) {
    heading.textContent = "Feature";
    return heading;
  }
  const link = document.createElement("a");
  link.href = `items/${encodeURIComponent(feature.id)}`;
  link.textContent = String(feature.id);
  heading.append(link);
  return heading;
}

function propertyList(properties) {
  const list = document.createElement("dl");
  for (const [name, value] of Object.entries(properties)) {
    const [line, term, detail] = ["div", "dt", "dd"].map(tag => document.createElement(tag));
    term.textContent = name;
    detail.textContent = propertyText(value);
    if (value === null) detail.className = "null";
    line.append(term, detail);
    list.append(line);
  }
  return list;
}
