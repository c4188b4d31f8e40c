// The requests to the backend API.

import { byId, h, link, time } from "./dom.js";
import { List } from "./list.js";

const WORDS = {
  done: "done",
  refused: "refused",
  faulted: "fault",
  abandoned: "gave up",
  rejected: "rejected",
};

export function requests(page) {
  return new List({
    name: "requests",
    id: "id",
    element: byId("requests"),
    counts: page.counts("requests"),
    empty: "No requests yet. Each one to /api.php shows up here, with its form and its reply.",
    render: (request, before) => render(page, request, before?.querySelector("details")?.open),
  });
}

function render(page, request, open) {
  const about = request.addresses.slice(0, 3).join(", ") || (request.gid ? `group ${request.gid}` : "");
  const hurt = request.fault && request.outcome === "done";
  const badge = h("span", { class: `badge ${hurt ? "faulted" : request.outcome}` }, request.error || WORDS[request.outcome]);
  const summary = h(
    "summary",
    {},
    badge,
    h("span", { class: "op" }, request.op || `${request.method} ${request.path}`),
    h("span", { class: "about" }, about),
    h("span", { class: "took" }, took(request.duration_ms)),
    request.fault ? h("span", { class: "fault" }, request.fault.effect) : null,
  );
  const details = h("details", { open }, summary);
  // What is folded is made when it is opened: most never are.
  const fill = () => {
    if (details.open && details.childElementCount === 1) details.append(body(page, request));
  };
  details.addEventListener("toggle", fill);
  if (open) fill();
  return h("li", { class: "request", "data-id": request.id, tabindex: "-1" }, details);
}

function body(page, request) {
  const rows = request.form.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)));
  return h(
    "div",
    { class: "inside" },
    h(
      "p",
      { class: "meta" },
      time(request.time),
      h("span", {}, `${request.method} ${request.path}`),
      h("span", {}, request.dialect ?? "not read"),
      h("span", {}, request.status ? `HTTP ${request.status}` : "closed without an answer"),
    ),
    request.parameter ? h("p", {}, "Because of the parameter ", h("code", {}, request.parameter), ".") : null,
    request.ignored.length
      ? h("p", {}, "Not emulated, and ignored: ", h("code", {}, request.ignored.join(", ")), ".")
      : null,
    rows.length ? h("table", { "aria-label": "Form" }, h("tbody", {}, rows)) : null,
    request.reply ? h("pre", { tabindex: "0", "aria-label": "Reply" }, pretty(request.reply)) : null,
    links(page, request),
  );
}

function links(page, { uid, gid, mid, addresses }) {
  const all = [];
  if (mid) all.push(link(`message ${mid}`, "Show the message", () => page.showMessage(mid)));
  if (gid) all.push(link(`group ${gid}`, "Only what is about this group", () => page.focus({ gid })));
  if (uid) all.push(link(`user ${uid}`, "Show the user", () => page.showUser(uid)));
  for (const address of addresses.slice(0, 10)) {
    all.push(link(address, `Only what is about ${address}`, () => page.focus({ address })));
  }
  return all.length ? h("p", { class: "meta" }, all) : null;
}

function took(milliseconds) {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 10_000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
