// The search in a table, word by word. Pure: no DOM.

/**
 * The words that somebody looks for.
 * @param {string} text
 * @returns {string[]} in lower case
 */
export function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

/**
 * Whether a text holds all words.
 * @param {string} text in lower case
 * @param {string[]} words as of `wordsOf`
 * @returns {boolean}
 */
export function hasWords(text, words) {
  return words.every(word => text.includes(word));
}
