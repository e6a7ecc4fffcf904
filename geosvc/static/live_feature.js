// The page of one feature: it says when the feature has changed (docs/live.md). The page stays as
// it was read, with its map.

import { keyOf, urlWithin } from "./change_events.js";
import { ChangeStream } from "./change_stream.js";

const WORDS = {
  same: "",
  changed: "This feature has changed.",
  gone: "This feature was deleted.",
  unknown: "This feature may have changed.",
};

/**
 * Says when the feature of a page has changed.
 * @param {HTMLElement} hint the element [data-live], hidden until there is something to say
 * @param {Promise<{shown: object} | null>} opening the page's map
 */
export async function followFeature(hint, opening) {
  const shown = (await opening)?.shown;
  const onEvent = async (name, content) => {
    const isMine = keyOf(content) === hint.dataset.feature;
    const isForAll = name === "bulk" || name === "resync";
    if (isMine || isForAll) say(hint, await wordsFor(shown, isMine));
  };
  const href = new URL(hint.dataset.live, document.baseURI).href;
  new ChangeStream(urlWithin(href, shown?.bounds()), hint.dataset.after, onEvent);
}

// An event of this very feature is a change, whatever the features of the map say: they may have
// fewer properties than the page.
async function wordsFor(shown, isMine) {
  const standing = shown ? await shown.standing().catch(() => "unknown") : "unknown";
  return isMine && standing !== "gone" ? WORDS.changed : WORDS[standing];
}

function say(hint, text) {
  if (!text) return;
  hint.querySelector("[data-words]").textContent = text;
  hint.hidden = false;
}
