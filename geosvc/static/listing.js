// The table of features, kept as the service would write it now: the page is fetched again, and
// what differs is replaced. Rows that are the same stay, with the focus and the selection in them.

const FLASH_MS = 1500;

/**
 * The ids of the features in the table.
 * @param {HTMLElement} listing the element [data-listing]
 * @returns {Set<string>}
 */
export function rowKeys(listing) {
  return new Set([...listing.querySelectorAll("[data-feature]")].map(keyOfRow));
}

/**
 * Fetches the page again, and takes the table, the count and the links to other pages from it.
 * @param {HTMLElement} listing the element [data-listing]
 */
export async function renewListing(listing) {
  const page = await fetchPage();
  const fresh = page.querySelector("[data-listing]");
  if (!fresh) throw new Error("the page is another one");
  renewCount(page.querySelector("[data-count]"));
  const table = listing.querySelector("[data-features-table]");
  const freshTable = fresh.querySelector("[data-features-table]");
  if (table && freshTable && table.tHead.innerHTML === freshTable.tHead.innerHTML) {
    renewRows(table.tBodies[0], [...freshTable.tBodies[0].rows]);
    renewPaging(listing, fresh);
  } else {
    listing.replaceChildren(...fresh.childNodes);
  }
}

async function fetchPage() {
  const headers = { Accept: "text/html" };
  const response = await fetch(location.href, { headers, cache: "no-cache" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function renewCount(fresh) {
  const count = document.querySelector("[data-count]");
  // Nobody wants to hear every change.
  count.setAttribute("aria-live", "off");
  if (count.textContent !== fresh.textContent) count.textContent = fresh.textContent;
}

function renewRows(body, fresh) {
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const focusedRow = focused?.closest("tr");
  putRows(body, fresh);
  if (focused && !focused.isConnected) focusNear(body, focusedRow);
}

function putRows(body, fresh) {
  const kept = removeOthers(body, new Set(fresh.map(keyOfRow)));
  let place = body.firstElementChild;
  for (const row of fresh) {
    const old = kept.get(keyOfRow(row));
    if (old) renewRow(old, row);
    if (old && old === place) place = place.nextElementSibling;
    else body.insertBefore(old ?? flash(row), place);
  }
}

// Returns the rows that stay, by their keys.
function removeOthers(body, wanted) {
  const kept = new Map();
  for (const row of [...body.rows]) {
    if (wanted.has(keyOfRow(row))) kept.set(keyOfRow(row), row);
    else row.remove();
  }
  return kept;
}

function renewRow(row, fresh) {
  if (writtenBy(row) === writtenBy(fresh)) return;
  row.replaceChildren(...fresh.childNodes);
  flash(row);
}

// What the service wrote, without the button that the map added.
function writtenBy(row) {
  const copy = row.cloneNode(true);
  copy.querySelector(".locate")?.remove();
  return copy.innerHTML;
}

// The focus must not fall back to the beginning of the page.
function focusNear(body, row) {
  const link = row.isConnected ? row.querySelector("th a") : null;
  (link ?? body.closest("[tabindex]")).focus({ preventScroll: true });
}

function flash(row) {
  row.classList.add("changed");
  setTimeout(() => row.classList.remove("changed"), FLASH_MS);
  return row;
}

function renewPaging(listing, fresh) {
  const old = [...listing.querySelectorAll(".paging")];
  const now = [...fresh.querySelectorAll(".paging")];
  if (htmlOf(old) === htmlOf(now)) return;
  old.forEach(each => each.remove());
  const table = listing.querySelector(".table");
  if (!now.length) return;
  table.before(now[0]);
  table.after(now[1]);
}

function htmlOf(elements) {
  return elements.map(each => each.innerHTML).join();
}

function keyOfRow(row) {
  return row.dataset.feature;
}
