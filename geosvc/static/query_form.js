// The form of the items page: lines for more properties, and the box that is drawn on the map.
// With JavaScript or without, the browser sends the form and the service reads it
// (geosvc/requests/form.py).

const CORNERS = ["west", "south", "east", "north"];
const NARROW = "(max-width: 60rem)";

/**
 * Adds to the form what needs JavaScript.
 * @param {HTMLDetailsElement} query the element [data-query]
 * @param {Promise<import("./map.js").PageMap | null>} opening the page's map
 */
export function enhanceQueryForm(query, opening) {
  // On a phone the features come first, unless the query is what is wrong.
  const isWrong = query.querySelector("[role=alert]") !== null;
  if (matchMedia(NARROW).matches && !isWrong) query.open = false;
  enhanceConditions(query.querySelector("[data-conditions]"));
  enhanceBox(query.querySelector("[data-corners]"), opening);
}

function enhanceConditions(fieldset) {
  const add = fieldset.querySelector("[data-add]");
  add.hidden = false;
  add.addEventListener("click", () => addCondition(fieldset));
  fieldset.addEventListener("change", event => {
    const line = event.target.closest("[data-condition]");
    if (line) showValue(line);
  });
  fieldset.querySelectorAll("[data-condition]").forEach(showValue);
}

function addCondition(fieldset) {
  const lines = [...fieldset.querySelectorAll("[data-condition]")];
  const last = lines.at(-1);
  const line = last.cloneNode(true);
  for (const field of line.querySelectorAll("[name]")) {
    field.name = field.name.replace(/\d+$/, String(lines.length));
    if (field.tagName === "INPUT") field.value = "";
    else field.selectedIndex = 0;
  }
  last.after(line);
  showValue(line);
  line.querySelector("select").focus();
}

// IS NULL and IS NOT NULL take no value.
function showValue(line) {
  const [, operator] = line.querySelectorAll("select");
  line.querySelector("input").hidden = operator.value.startsWith("IS ");
}

async function enhanceBox(fieldset, opening) {
  const actions = fieldset.querySelector("[data-draw-actions]");
  const enable = enabled => {
    for (const button of actions.querySelectorAll("button")) button.disabled = !enabled;
  };
  // The map is in degrees; corners in another CRS cannot be drawn on it.
  const isForeign = "foreign" in fieldset.dataset;
  const isDrawable = document.querySelector("[data-map]") !== null && !isForeign;
  // Their place is taken at once, so that nothing moves when the map is there.
  actions.hidden = !isDrawable;
  enable(false);
  const map = await opening;
  enable(map !== null);
  if (map && isDrawable) connectBox(fieldset, map);
  else actions.hidden = true;
}

function connectBox(fieldset, map) {
  const inputs = CORNERS.map(corner => fieldset.querySelector(`#${corner}`));
  const showBox = () => map.showBox(readBox(inputs));
  const writeBox = box => {
    for (const [index, input] of inputs.entries()) input.value = box ? String(box[index]) : "";
    map.showBox(box);
  };
  connectDrawing(fieldset.querySelector("[data-draw]"), map.drawing, writeBox);
  fieldset.querySelector("[data-view]").addEventListener("click", () => writeBox(map.view()));
  fieldset.querySelector("[data-clear]").addEventListener("click", () => writeBox(null));
  fieldset.addEventListener("input", showBox);
  showBox();
}

function connectDrawing(button, drawing, writeBox) {
  const press = pressed => {
    button.setAttribute("aria-pressed", String(pressed));
    if (pressed) drawing.start(writeBox, () => press(false));
    else drawing.stop();
  };
  button.addEventListener("click", () => press(button.getAttribute("aria-pressed") !== "true"));
}

function readBox(inputs) {
  const numbers = inputs.map(input => input.valueAsNumber);
  return numbers.every(Number.isFinite) ? numbers : null;
}
