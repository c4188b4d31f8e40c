// The page: which world it shows, what it is narrowed to, and what changed.

import { ask, listen } from "./api.js";
import { dialogs } from "./dialogs.js";
import { byId, h, link, say, soon } from "./dom.js";
import { showFaults } from "./faults.js";
import { messages } from "./messages.js";
import { groups, users } from "./people.js";
import { requests } from "./requests.js";

const page = {
  world: new URLSearchParams(location.search).get("world") ?? "",
  worlds: [],
  clock: null,
  narrowed: {},
  changed: new Set(),

  /** Where the number of a collection's entries is shown. */
  counts: (name) => {
    const title = document.querySelector(`#${name}-title .count`);
    const part = name === "users" ? "people" : name;
    const tab = document.querySelector(`nav [data-part=${part}] .count`);
    return [title, tab].filter(Boolean);
  },

  /** A token that opens the world; the one for a world that is not there yet. */
  token: () => here()?.local_token ?? `sandbox-${page.world}`,

  groupName: (gid) => {
    const text = lists.groups.rows.get(String(gid))?.text;
    return (text && JSON.parse(text).name) || `Group ${gid}`;
  },
  isGroup: (text) => /^[0-9]+$/.test(text) && lists.groups.rows.has(text),

  /** Narrows everything down to a user, a group, or a message's request. */
  focus: (narrowed) => {
    page.narrowed = narrowed;
    const what = Object.entries(narrowed).map(([name, value]) => `${name === "address" ? "" : `${name} `}${value}`);
    const chip = byId("focus");
    chip.hidden = what.length === 0;
    chip.replaceChildren("Only ", h("strong", {}, what.join(", ")), " ", link("Show everything", "Show everything again", () => page.focus({})));
    findAll();
    if (what.length) say(`Only ${what.join(", ")} is shown.`);
  },

  showRequest: async (query) => {
    const found = await ask("requests", { world: page.world, ...query });
    const request = found.requests.at(-1);
    if (!request) return say("The log does not have that request any longer.", true);
    if (!lists.requests.row(request.id)) await lists.requests.find({ ...base(), ...query });
    part("requests");
    const row = lists.requests.row(request.id);
    if (row) row.querySelector("details").open = true;
    return reveal(row);
  },
  showMessage: async (mid) => {
    if (!lists.messages.row(mid)) {
      // The page that begins with it.
      lists.messages.query = { world: page.world };
      lists.messages.pages = [String(mid + 1)];
      await lists.messages.refresh();
    }
    part("messages");
    const row = lists.messages.row(mid);
    if (!row) say("That message is gone.", true);
    reveal(row);
  },
  showUser: (uid) => {
    part("people");
    const row = lists.users.row(uid);
    if (!row) say("That user is gone, or not on this page of the list.", true);
    reveal(row);
  },
};

const lists = {
  users: users(page),
  groups: groups(page),
  messages: messages(page),
  requests: requests(page),
};

/** What the API says of the world that is shown. */
function here() {
  return page.worlds.find((world) => world.name === page.world);
}

function base() {
  return { world: page.world, contains: byId("search").value.trim() };
}

/** Lets all lists find what the search, the world and the narrowing ask for. */
function findAll() {
  const { address, gid } = page.narrowed;
  lists.users.find({ ...base(), address });
  lists.groups.find({ ...base(), member: address });
  lists.messages.find({ ...base(), address, gid });
  lists.requests.find({ ...base(), address, gid });
}

function reveal(row) {
  row?.scrollIntoView({ block: "center" });
  row?.focus({ preventScroll: true });
}

/** On a narrow screen one part is shown at a time. */
function part(name) {
  document.querySelector("main").dataset.part = name;
  for (const button of document.querySelectorAll("nav [data-part]")) {
    button.setAttribute("aria-pressed", String(button.dataset.part === name));
  }
}

async function showWorlds() {
  page.worlds = (await ask("worlds")).worlds;
  const names = page.worlds.map((world) => world.name);
  if (!page.world) {
    // Where something happened last is what somebody who opens the page looks for.
    const busy = page.worlds.filter((world) => world.last_request);
    busy.sort((one, other) => (one.last_request < other.last_request ? 1 : -1));
    page.world = busy[0]?.name ?? "default";
  }
  if (!names.includes(page.world)) names.push(page.world);
  const options = names.map((name) => h("option", { value: name }, name));
  byId("world").replaceChildren(...options);
  byId("world").value = page.world;
  const token = here()?.token;
  for (const element of document.querySelectorAll(".token")) element.textContent = token ?? "that you chose";
  const url = `${location.origin}/api.php`;
  byId("api-url").textContent = url;
  byId("curl").textContent = `curl ${url} -d token=${token ?? "TOKEN"} -d op=useradd -d addr=alice -d appid=demo`;
}

async function showClock() {
  const asked = performance.now();
  page.clock = await ask("clock", { world: page.world });
  page.clock.asked = asked;
  tick();
}

function tick() {
  if (!page.clock) return;
  const frozen = page.clock.state === "frozen";
  const passed = frozen ? 0 : performance.now() - page.clock.asked;
  const now = new Date(Date.parse(page.clock.now) + passed);
  const moved = frozen || Math.abs(now - Date.now()) > 5000;
  const clock = byId("clock");
  const today = now.toDateString() === new Date().toDateString();
  const text = today ? now.toLocaleTimeString() : now.toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
  clock.textContent = frozen ? `${text}, frozen` : text;
  clock.classList.toggle("moved", moved);
}

const refresh = soon(async () => {
  const changed = page.changed;
  page.changed = new Set();
  try {
    if (changed.has("worlds")) await showWorlds();
    if (changed.has("clock")) await showClock();
    if (changed.has("faults")) await showFaults(page);
  } catch (error) {
    say(error.message, true);
  }
  // Groups first: messages show their names.
  for (const name of ["groups", "users", "messages", "requests"]) {
    if (changed.has(name)) await lists[name].refresh();
  }
  byId("welcome").hidden = lists.messages.total !== 0 || byId("search").value !== "" || !byId("focus").hidden;
}, 80);

let events;
function enter() {
  const url = new URL(location.href);
  url.searchParams.set("world", page.world);
  history.replaceState(null, "", url);
  document.title = `${page.world} · Mesibo sandbox`;
  events?.close();
  for (const list of Object.values(lists)) list.query = base();
  page.focus({});
  const live = (heard) => {
    const sign = byId("live");
    sign.textContent = heard ? "live" : "not connected, trying again";
    sign.classList.toggle("on", heard);
  };
  events = listen(
    page.world,
    (changed) => {
      for (const name of changed) page.changed.add(name);
      refresh();
    },
    live,
  );
}

for (const button of document.querySelectorAll("nav [data-part]")) {
  button.addEventListener("click", () => part(button.dataset.part));
}
byId("search").addEventListener("input", soon(findAll, 200));
byId("world").addEventListener("change", (event) => {
  page.world = event.target.value;
  enter();
  showWorlds();
});
document.addEventListener("keydown", (event) => {
  const typing = /^(input|textarea|select)$/i.test(document.activeElement?.tagName ?? "");
  if (event.key === "/" && !typing && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    byId("search").focus();
  }
});
dialogs(page);
setInterval(tick, 1000);
await showWorlds();
enter();
