// The table of features, kept as the service would write it now: the page is fetched again, and what differs is replaced. Rows
// that are the same stay, with the focus and the selection in them.

const FLASH_MS = 1500;

export function sameFeature(row, other) {
  return written(row) === written(other);
}

// what the service wrote, without what the map added
function written(row) {
  const copy = row.cloneNode(true);
  copy.querySelector(".locate")?.remove();
  return copy.innerHTML;
}

export function rowKeys(listing) {
  return new Set([...listing.querySelectorAll("[data-feature]")].map(row => row.dataset.feature));
}

export async function renewListing(listing) {
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-cache" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("[data-listing]");
  if (!fresh) throw new Error("the page is another one");
  replaceCount(page.querySelector("[data-count]"));
  const [table, newTable] = [listing, fresh].map(each => each.querySelector("[data-features-table]"));
  if (!table || !newTable || table.tHead.innerHTML !== newTable.tHead.innerHTML) {
    listing.replaceChildren(...fresh.childNodes);
    return;
  }
  renewRows(table.tBodies[0], [...newTable.tBodies[0].rows]);
  renewPaging(listing, fresh);
}

function replaceCount(fresh) {
  const count = document.querySelector("[data-count]");
  count.setAttribute("aria-live", "off"); // nobody wants to hear every change
  if (count.textContent !== fresh.textContent) count.textContent = fresh.textContent;
}

function renewRows(body, fresh) {
  const wanted = new Set(fresh.map(row => row.dataset.feature));
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const focusedRow = focused?.closest("tr");
  const kept = new Map();
  for (const row of [...body.rows]) {
    if (wanted.has(row.dataset.feature)) kept.set(row.dataset.feature, row);
    else row.remove();
  }
  let place = body.firstElementChild;
  for (const row of fresh) {
    const there = kept.get(row.dataset.feature);
    if (there && !sameFeature(there, row)) {
      there.replaceChildren(...row.childNodes);
      flash(there);
    }
    if (there && there === place) place = place.nextElementSibling;
    else body.insertBefore(there ?? flash(row), place);
  }
  if (focused && !focused.isConnected) {
    const stands = focusedRow.isConnected ? focusedRow.querySelector("th a") : null;
    (stands ?? body.closest("[tabindex]")).focus({ preventScroll: true });
  }
}

function flash(row) {
  row.classList.add("changed");
  setTimeout(() => row.classList.remove("changed"), FLASH_MS);
  return row;
}

function renewPaging(listing, fresh) {
  const [old, now] = [listing, fresh].map(each => [...each.querySelectorAll(".paging")]);
  if (old.map(each => each.innerHTML).join() === now.map(each => each.innerHTML).join()) return;
  old.forEach(each => each.remove());
  const table = listing.querySelector(".table");
  if (now.length) {
    table.before(now[0]);
    table.after(now[1]);
  }
}
