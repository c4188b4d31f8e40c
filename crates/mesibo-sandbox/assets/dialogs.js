// The dialogs behind the buttons.

import { ask, operate } from "./api.js";
import { byId, h, say } from "./dom.js";
import { rule, showRecipes } from "./faults.js";

export function dialogs(page) {
  for (const button of document.querySelectorAll("[data-opens]")) {
    button.addEventListener("click", () => open(page, byId(button.dataset.opens)));
  }
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  submits("user-dialog", async (form) => {
    await operate(page.token(), { op: "useradd", ...Object.fromEntries(form) });
    return `${form.get("addr")} is added.`;
  });
  submits("message-dialog", async (form) => {
    const to = form.get("to").trim();
    const receiver = page.isGroup(to) ? { gid: to } : { to };
    const { mid } = await operate(page.token(), { op: "message", from: form.get("from"), msg: form.get("msg"), ...receiver });
    return `Message ${mid} is sent.`;
  });
  submits("fault-dialog", async (form) => {
    const { effect } = await ask("faults", { world: page.world }, "POST", rule(form));
    return `Set: ${effect}.`;
  });
  submits("clock-dialog", (form) => moved(page, "POST", { advance: form.get("advance").trim() }));
  submits("reset-dialog", async () => {
    await ask("state", { world: page.world }, "DELETE");
    return `The world ${page.world} is empty.`;
  });
  clockButtons(page);
  faultFields();
  byId("example").addEventListener("click", () => example(page));
}

function open(page, dialog) {
  dialog.querySelector(".problem").textContent = "";
  if (dialog.id === "message-dialog") suggestPeople(page);
  if (dialog.id === "fault-dialog") {
    suggestPeople(page);
    showRecipes(page, (text, problem) => {
      dialog.close();
      say(text, problem);
    });
  }
  const toggle = dialog.querySelector("[data-clock=toggle]");
  if (toggle) toggle.textContent = page.clock?.state === "frozen" ? "Let it run" : "Freeze";
  dialog.showModal();
}

/** Does something with a dialog's form, and closes it when that went well. */
function submits(id, work) {
  const dialog = byId(id);
  const form = dialog.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await attempt(dialog, () => work(new FormData(form)));
  });
}

async function attempt(dialog, work) {
  const problem = dialog.querySelector(".problem");
  problem.textContent = "";
  try {
    const done = await work();
    dialog.close();
    say(done);
  } catch (error) {
    problem.textContent = error instanceof TypeError ? "The connection was closed without an answer." : error.message;
  }
}

async function moved(page, method, change) {
  page.clock = await ask("clock", { world: page.world }, method, change);
  return `It is ${new Date(page.clock.now).toLocaleString()}, and the clock is ${page.clock.state}.`;
}

function clockButtons(page) {
  const dialog = byId("clock-dialog");
  dialog.querySelector("[data-clock=reset]").addEventListener("click", () => attempt(dialog, () => moved(page, "DELETE")));
  dialog.querySelector("[data-clock=toggle]").addEventListener("click", () => {
    const state = page.clock?.state === "frozen" ? "running" : "frozen";
    return attempt(dialog, () => moved(page, "POST", { state }));
  });
}

/** Shows the fields that the chosen effect has. */
function faultFields() {
  const form = byId("fault-dialog").querySelector("form");
  const effect = form.elements.namedItem("effect");
  const choose = () => {
    for (const field of form.querySelectorAll("[data-for]")) {
      field.hidden = !field.dataset.for.split(" ").includes(effect.value);
    }
  };
  effect.addEventListener("change", choose);
  choose();
}

async function suggestPeople(page) {
  const query = { world: page.world, page_size: 200 };
  const [{ users }, { groups }] = await Promise.all([ask("users", query), ask("groups", query)]);
  const people = () => users.map((user) => h("option", { value: user.address }));
  byId("addresses").replaceChildren(...people());
  const rooms = groups.map((group) => h("option", { value: group.gid, label: group.name || `Group ${group.gid}` }));
  byId("receivers").replaceChildren(...people(), ...rooms);
}

async function example(page) {
  try {
    for (const [addr, name] of [["alice", "Alice"], ["bob", "Bob"]]) {
      await operate(page.token(), { op: "useradd", addr, name, appid: "demo" });
    }
    await operate(page.token(), { op: "message", from: "alice", to: "bob", msg: "Hello Bob, this is the first message." });
    say("alice and bob are added, and the first message is sent.");
  } catch (error) {
    say(error.message, true);
  }
}
