// What the pages cannot do by themselves: times as the reader's clock shows them, the token of a link, and rows
// that arrive. Without it the pages work all the same.
"use strict";

// === times ===

const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const withZone = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const fromNow = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const units = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30]];

function relative(then) {
  let past = (then - Date.now()) / 1000;
  for (const [unit, length] of units) {
    if (Math.abs(past) < length) return fromNow.format(Math.trunc(past), unit);
    past /= length;
  }
  return exactly.format(then);
}

function showTimes(within) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    const then = new Date(time.dateTime);
    if (Number.isNaN(then.getTime())) continue;
    time.textContent = "relative" in time.dataset ? relative(then) : exactly.format(then);
    time.title = withZone.format(then);
  }
}

showTimes(document);
setInterval(() => showTimes(document), 15000);

// === login by a link: http://HOST/login#TOKEN ===
// Filled in, not sent: that is for who sits there to do.

const token = document.querySelector("#token");

function fillIn() {
  if (!token || location.hash.length < 2) return;
  token.value = decodeURIComponent(location.hash.slice(1));
  // Out of the address before anything else, so that it is in no history.
  history.replaceState(null, "", location.pathname + location.search);
}

fillIn();
// Who follows the link from the form itself stays on the page.
addEventListener("hashchange", fillIn);

// === rows that arrive ===

const live = document.querySelector("#live");
const rows = document.querySelector("#rows");

// As many stay on the page.
const MOST = 500;

// Up to which row everything that the view shows is here.
let after = live ? Number(live.dataset.after) : 0;

let stream = null;
let asking = false;
let again = false;

// The server makes the rows, so that there is one way in which they look.
async function bring() {
  if (asking) { again = true; return; }
  asking = true;
  try {
    do {
      again = false;
      const address = new URL(live.dataset.rows, location.href);
      address.searchParams.set("after", after);
      const answer = await fetch(address);
      if (!answer.ok || answer.redirected) { follow(false); return; }
      after = Number(answer.headers.get("x-after"));
      again = answer.headers.get("x-more") === "1";
      const arrived = document.createElement("template");
      arrived.innerHTML = await answer.text();
      showTimes(arrived.content);
      for (const row of [...arrived.content.children]) {
        if (rows.querySelector(`[data-seq="${row.dataset.seq}"]`)) row.remove();
        else row.classList.add("new");
      }
      rows.prepend(arrived.content);
      while (rows.children.length > MOST) rows.lastElementChild.remove();
      document.querySelector(".empty")?.toggleAttribute("hidden", rows.children.length > 0);
    } while (again);
  } finally {
    asking = false;
  }
}

function follow(on) {
  live.checked = on;
  stream?.close();
  stream = null;
  if (!on) return;
  stream = new EventSource(live.dataset.stream);
  // What came between the page and the stream.
  stream.onopen = bring;
  stream.onmessage = bring;
}

if (live && rows) {
  live.closest("label").hidden = false;
  live.addEventListener("change", () => follow(live.checked));
}
