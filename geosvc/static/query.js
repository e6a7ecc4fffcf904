// The form of the items page: lines for more properties, and the box that is drawn on the map. What it sends, the server
// reads (geosvc/requests/form.py), with JavaScript or without.

const CORNERS = ["west", "south", "east", "north"];
const NARROW = "(max-width: 60rem)";

export function enhanceQuery(query, opening) {
  // on a phone the features come first, unless the query is what is wrong
  if (matchMedia(NARROW).matches && !query.querySelector("[role=alert]")) query.open = false;
  enhanceConditions(query.querySelector("[data-conditions]"));
  const corners = query.querySelector("[data-corners]");
  const actions = corners.querySelector("[data-draw-actions]");
  const enable = on => actions.querySelectorAll("button").forEach(button => { button.disabled = !on; });
  // their place is taken at once, so that nothing moves when the map is there
  const drawable = document.querySelector("[data-map]") && !("foreign" in corners.dataset);
  actions.hidden = !drawable;
  enable(false);
  opening.then(map => {
    enable(Boolean(map));
    if (map && drawable) enhanceCorners(corners, map);
    else actions.hidden = true;
  });
}

function enhanceConditions(fieldset) {
  const add = fieldset.querySelector("[data-add]");
  add.hidden = false;
  add.addEventListener("click", () => {
    const lines = fieldset.querySelectorAll("[data-condition]");
    const line = lines[lines.length - 1].cloneNode(true);
    for (const field of line.querySelectorAll("[name]")) {
      field.name = field.name.replace(/\d+$/, String(lines.length));
      if (field.tagName === "INPUT") field.value = "";
      else field.selectedIndex = 0;
    }
    lines[lines.length - 1].after(line);
    showValue(line);
    line.querySelector("select").focus();
  });
  fieldset.addEventListener("change", event => showValue(event.target.closest("[data-condition]")));
  fieldset.querySelectorAll("[data-condition]").forEach(showValue);
}

function showValue(line) {
  if (!line) return;
  const [, operator] = line.querySelectorAll("select");
  line.querySelector("input").hidden = operator.value.startsWith("IS ");
}

function enhanceCorners(fieldset, map) {
  const inputs = CORNERS.map(corner => fieldset.querySelector(`#${corner}`));
  const draw = fieldset.querySelector("[data-draw]");
  const read = () => {
    const numbers = inputs.map(input => input.valueAsNumber);
    return numbers.every(Number.isFinite) ? numbers : null;
  };
  const write = box => {
    inputs.forEach((input, index) => { input.value = box ? String(box[index]) : ""; });
    map.showBox(box);
  };
  const drawing = on => {
    draw.setAttribute("aria-pressed", String(on));
    if (on) map.drawBox(write, () => drawing(false));
    else map.stopDrawing();
  };
  draw.addEventListener("click", () => drawing(draw.getAttribute("aria-pressed") !== "true"));
  fieldset.querySelector("[data-view]").addEventListener("click", () => write(map.view()));
  fieldset.querySelector("[data-clear]").addEventListener("click", () => write(null));
  fieldset.addEventListener("input", () => map.showBox(read()));
  map.showBox(read());
}
