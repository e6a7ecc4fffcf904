// What the style specification says against the styles whose addresses are given: printed as JSON.
import { validateStyleMin } from "@maplibre/maplibre-gl-style-spec";

const faults = {};
for (const address of process.argv.slice(2)) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(await response.text());
  faults[address] = validateStyleMin(await response.json()).map((each) => each.message);
}
console.log(JSON.stringify(faults));
