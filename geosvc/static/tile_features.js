// What a feature of a tile tells about itself. Pure: no DOM and no map.

/**
 * The id of a feature, as the service writes it in URLs.
 * @param {object} properties of the feature
 * @param {string[]} key the names of the properties that identify it; empty without any
 * @returns {string | null} null where the feature has no id
 */
export function idOf(properties, key) {
  const values = key.map(name => properties[name]);
  if (!values.length || values.some(value => value === undefined || value === null)) return null;
  if (values.length === 1) return String(values[0]);
  return values.map(value => String(value).replace(/[\\,]/g, "\\$&")).join(",");
}

/**
 * Whether a feature stands for several.
 * @param {object} properties of the feature
 * @returns {boolean}
 */
export function isCluster(properties) {
  return Number(properties.point_count) > 1;
}

/**
 * A layer of a style as the map of a page has it: with a name of its own, and stronger while the
 * mouse is over a feature.
 * @param {object} layer
 * @returns {object}
 */
export function hoverable(layer) {
  const opacity = `${layer.type}-opacity`;
  const usual = layer.paint[opacity] ?? 0.8;
  const isHovered = ["boolean", ["feature-state", "hover"], false];
  const stronger = Math.min(usual * 1.8, 1);
  const paint = { ...layer.paint, [opacity]: ["case", isHovered, stronger, usual] };
  return { ...layer, id: `tiles/${layer.id}`, source: `tiles/${layer.source}`, paint };
}
