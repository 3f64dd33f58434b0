// Small on purpose: everything that matters is rendered by the server. No inline handlers, no eval.
"use strict";
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;
const byId = (id) => document.getElementById(id);

const shortTime = (at) => new Date(at).toLocaleTimeString([], { timeStyle: "short" });
function say(text) { const region = byId("say"); if (region && text) region.textContent = text; }

// --- Error markers: hover and focus are CSS; a click keeps one open, Escape shuts it (WCAG 1.4.13).
function keepOpen(marker, open) {
  marker.classList.toggle("open", open);
  marker.querySelector("button").setAttribute("aria-expanded", String(open));
}
document.addEventListener("click", (event) => {
  const button = event.target.closest(".marker > button");
  if (!button) return;
  button.parentElement.classList.remove("shut");
  keepOpen(button.parentElement, !button.parentElement.classList.contains("open"));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const marker of document.querySelectorAll(".marker")) { keepOpen(marker, false); marker.classList.add("shut"); }
  for (const menu of document.querySelectorAll("details.who[open]")) { menu.open = false; menu.firstElementChild.focus(); }
});
document.addEventListener("pointerout", (event) => event.target.closest?.(".marker")?.classList.remove("shut"));
document.addEventListener("focusout", (event) => {
  const marker = event.target.closest(".marker");
  if (marker) { marker.classList.remove("shut"); keepOpen(marker, false); }
});

// --- Dialogs: the link leads to a page; here its content is shown over this one, and focus comes back afterwards.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.ariaBusy === "true") return;
  link.ariaBusy = "true";
  const answer = await fetch(link.href, { headers: { Accept: "text/html" } }).finally(() => { link.ariaBusy = null; });
  until(answer.headers);
  const content = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("dialog-content");
  if (!content) { location.assign(link.href); return; }
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.append(...content.childNodes);
  dialog.addEventListener("click", (inside) => {
    if (inside.target.closest("[data-close]")) { inside.preventDefault(); dialog.close(); }
  });
  dialog.addEventListener("close", () => { dialog.remove(); (link.isConnected ? link : document.querySelector("h1"))?.focus(); });
  document.body.append(dialog);
  dialog.showModal();
});

// --- Submitting: the button says so and a second press does nothing; it keeps the focus.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.dataset.busy) return;
  if (button.getAttribute("aria-disabled") === "true") { event.preventDefault(); return; }
  button.setAttribute("aria-disabled", "true");
  button.textContent = button.dataset.busy;
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// --- Ticks: sent one after the other in the order of the hand; the answer is the server's tally.
let sending = Promise.resolve();
let lastBox = null;
let saySoon;
const rowBoxes = () => [...document.querySelectorAll(".pick tbody .box:not(:disabled)")];
function mixed() {
  const all = byId("all"), boxes = rowBoxes(), on = boxes.filter((box) => box.checked).length;
  if (!all) return;
  all.checked = on > 0 && on === boxes.length;
  all.indeterminate = on > 0 && on < boxes.length;
  for (const box of boxes) box.closest("tr").classList.toggle("on", box.checked);
}
function send(op, boxes) {
  const table = document.querySelector(".pick");
  const expected = document.querySelector('#many [name="expected"]').value;
  const body = new URLSearchParams({ op, view: location.search, expected, on_page: rowBoxes().filter((box) => box.checked).length });
  for (const box of boxes) body.append("invoice", box.value);
  byId("sum")?.setAttribute("aria-busy", "true");
  sending = sending.then(() => fetch(table.dataset.selection, { method: "POST", body, headers: { "X-CSRF-Token": meta("csrf") } }))
    .then(async (answer) => {
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      until(answer.headers);
      byId("tally").outerHTML = await answer.text();
      clearTimeout(saySoon);
      saySoon = setTimeout(() => say(byId("tally").dataset.say), 500);
    }).catch(() => location.reload());
}
document.addEventListener("click", (event) => {
  const box = event.target.closest?.(".pick .box");
  if (!box) return;
  let boxes = [box];
  if (box.id === "all") {
    boxes = rowBoxes();
  } else if (event.shiftKey && lastBox?.isConnected) {
    const rows = rowBoxes(), ends = [rows.indexOf(lastBox), rows.indexOf(box)].sort((a, b) => a - b);
    boxes = rows.slice(ends[0], ends[1] + 1);
  }
  for (const one of boxes) one.checked = box.checked;
  if (box.id !== "all") lastBox = box;
  mixed();
  send(box.checked ? "add" : "remove", boxes);
});
// A tick on its way is not lost by leaving: the next page waits for it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-after-ticks]");
  if (!link) return;
  event.preventDefault();
  sending.then(() => location.assign(link.href));
});

// --- Empty fields stay out of the address.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.verb !== "get") return;
  for (const [name, value] of [...event.detail.formData]) if (value === "") event.detail.formData.delete(name);
});

// --- A list that cannot be had: the page says why, instead of showing nothing.
document.addEventListener("htmx:beforeSwap", (event) => {
  const answer = event.detail.xhr;
  if (event.target.id === "poll") return;
  until({ get: (name) => answer.getResponseHeader(name) });
  if (document.querySelector("details.filters[open]")) {
    event.detail.serverResponse = event.detail.serverResponse.replace("<details class=\"filters", "<details open class=\"filters");
  }
  if (answer.status < 400) return;
  event.detail.shouldSwap = false;
  location.assign(answer.responseURL);
});
document.addEventListener("htmx:sendError", (event) => { byId("unreachable").hidden = event.target.id === "poll"; });
document.addEventListener("htmx:afterOnLoad", () => { byId("unreachable").hidden = true; });

const loads = (event) => event.detail.target?.id === "list";
document.addEventListener("htmx:beforeRequest", (event) => { if (loads(event)) event.detail.target.ariaBusy = "true"; });
document.addEventListener("htmx:afterRequest", (event) => { if (loads(event)) event.detail.target.ariaBusy = null; });

// --- Lists: focus stays where htmx put it; what changed is said.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target?.id !== "list" && event.target.id !== "list") return;
  mixed();
  poll();
  say(document.querySelector("#list caption")?.textContent);
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (!event.detail.requestConfig?.elt?.closest?.(".pager")) return;
  const heading = document.querySelector("#list h2, section > h2");
  heading?.focus();
  byId("list")?.scrollIntoView({ block: "start" });
});
mixed();
for (const target of document.querySelectorAll("[data-focus]")) target.focus();

// --- What a quick hand typed or ticked before the scripts were there counts now.
document.addEventListener("htmx:load", () => {
  for (const op of ["add", "remove"]) {
    const boxes = rowBoxes().filter((box) => box.checked !== box.defaultChecked && box.checked === (op === "add"));
    if (boxes.length) send(op, boxes);
  }
  for (const field of document.querySelectorAll("input.input")) {
    const event = field.type === "date" ? "change" : "input";
    if (field.value !== field.defaultValue) field.dispatchEvent(new Event(event, { bubbles: true }));
  }
}, { once: true });

// --- Live: the cell that holds focus is left alone; silence for 40 s means that the connection is lost.
let heardAt = Date.now();
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  heardAt = Date.now();
  if (event.target.contains(document.activeElement) && event.target !== document.body) event.preventDefault();
});
const beat = () => { heardAt = Date.now(); };
const spoken = (event) => { beat(); say(event.data); };
document.addEventListener("htmx:sseOpen", (event) => {
  beat();
  failures = 0;
  poll();
  event.detail.source.addEventListener("beat", beat);
  event.detail.source.addEventListener("say", spoken);
});

// --- After three failed connects the cells are asked for every 10 s, until the stream is there again.
const FAILURES = 3;
let failures = 0;
const asked = new Map(), stages = new Map();
function poll() {
  const poller = byId("poll"), trigger = failures < FAILURES ? "never" : "every 10s";
  if (!poller || poller.getAttribute("hx-trigger") === trigger) return;
  poller.setAttribute("hx-trigger", trigger);
  htmx.process(poller);
}
document.addEventListener("htmx:sseError", () => { failures += 1; poll(); });
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.id !== "poll" || !event.detail.successful) return;
  beat();
  const answer = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
  for (const { dataset: { cell }, innerHTML: html } of answer.querySelectorAll("template[data-cell]")) {
    if (asked.get(cell) === html) continue;
    for (const place of document.querySelectorAll(`[sse-swap="${cell}"]`)) {
      if (place.contains(document.activeElement)) continue;
      htmx.swap(place, html, { swapStyle: "innerHTML" });
      asked.set(cell, html);
    }
  }
  const moved = [...answer.querySelectorAll("template[data-say]")].filter(({ dataset: { say: batch, stage } }) => {
    const before = stages.get(batch);
    stages.set(batch, stage);
    return before && before !== stage;
  });
  say(moved.map(({ content }) => content.textContent).join(" "));
});
function live() {
  const lost = byId("live-lost");
  if (!lost) return;
  const silent = Date.now() - heardAt > 40_000;
  if (silent) lost.querySelector("[data-stopped]").textContent = shortTime(heardAt);
  lost.hidden = !silent;
  byId("live-status")?.toggleAttribute("hidden", silent);
}

// --- The session: a warning two minutes before its end, then the page is replaced.
let endsAt = Date.parse(meta("signed-in-until") ?? "");
function until(headers) { endsAt = Date.parse(headers.get("X-Signed-In-Until") ?? "") || endsAt; }
async function stay() {
  const answer = await fetch("/console/session", { method: "POST", headers: { "X-CSRF-Token": meta("csrf") } });
  if (!answer.ok) { location.reload(); return; }
  endsAt = Date.parse(await answer.text());
  byId("still-there").close();
}
document.querySelector("[data-stay]")?.addEventListener("click", stay);
setInterval(() => {
  live();
  if (!endsAt) return;
  const left = endsAt - Date.now(), dialog = byId("still-there");
  if (left < 0) { location.reload(); return; }
  if (left < 120_000 && !dialog.open) {
    dialog.querySelector("[data-ends]").textContent = shortTime(endsAt);
    dialog.showModal();
  }
}, 1000);
