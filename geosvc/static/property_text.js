// How values of properties are written for people. Pure: no DOM.

/**
 * The text of a value.
 * @param {unknown} value as JSON has it
 * @returns {string}
 */
export function propertyText(value) {
  if (value === null) return "NULL";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
