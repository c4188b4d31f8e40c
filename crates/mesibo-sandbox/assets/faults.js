// The fault rules, and how to bring each error about.

import { ask } from "./api.js";
import { byId, h, say } from "./dom.js";

/** Shows the rules in force. */
export async function showFaults(page) {
  const rules = await ask("faults");
  const here = rules.filter((rule) => !rule.world || rule.world === page.world);
  for (const count of page.counts("faults")) count.textContent = here.length;
  const rows = here.map((rule) => {
    const drop = async () => {
      try {
        await ask(`faults/${rule.id}`, {}, "DELETE");
        say("The fault is deleted.");
      } catch (error) {
        say(error.message, true);
      }
    };
    return h(
      "li",
      { class: "rule", "data-rule": rule.id },
      h("div", { class: "who" }, h("strong", {}, rule.effect), h("p", { class: "meta" }, h("span", {}, which(rule)))),
      h("span", { class: "badge faulted" }, `${rule.hits} hit${rule.hits === 1 ? "" : "s"}`),
      h("button", { type: "button", class: "remove", "aria-label": `Delete the fault: ${rule.effect}`, title: "Delete the fault", onclick: drop }, "×"),
    );
  });
  const none = h("li", { class: "empty" }, "Nothing is broken. Set a fault to see what your client does.");
  byId("faults").replaceChildren(...(rows.length ? rows : [none]));
}

/** Which requests a rule is for, in words. */
function which(rule) {
  const parts = [rule.op ? `${rule.op} requests` : "all requests"];
  if (rule.address) parts.push(`for ${rule.address}`);
  if (rule.rate_limit) parts.push(`above ${rule.rate_limit.requests} in ${rule.rate_limit.per}`);
  if (rule.every > 1) parts.push(`every ${rule.every}th`);
  if (rule.probability < 1) parts.push(`${Math.round(rule.probability * 100)}% of them`);
  if (rule.times) parts.push(`${rule.times} time${rule.times === 1 ? "" : "s"}`);
  parts.push(rule.world ? "in this world" : "in all worlds");
  return parts.join(", ");
}

/** Fills the table of recipes; `done` is called when one was followed. */
export async function showRecipes(page, done) {
  const recipes = await ask("recipes");
  const rows = recipes.map((recipe) => {
    const set = async () => {
      try {
        if (recipe.rule) await ask("faults", { world: page.world }, "POST", recipe.rule);
        else await ask("outage", {}, "POST", { for: recipe.outage });
        done(`Set: ${recipe.happens}.`);
      } catch (error) {
        done(error.message, true);
      }
    };
    const able = recipe.rule || recipe.outage;
    const label = `${recipe.rule ? "Set" : "Begin"}: ${recipe.happens}`;
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, recipe.happens),
      h("td", {}, h("span", {}, recipe.status), h("br"), h("code", {}, recipe.reason)),
      h(
        "td",
        {},
        able ? h("button", { type: "button", "aria-label": label, onclick: set }, recipe.rule ? "Set" : "Begin") : null,
        recipe.how ? h("p", {}, recipe.how) : null,
      ),
    );
  });
  byId("recipes").tBodies[0].replaceChildren(...rows);
}

/** The rule that the form describes. */
export function rule(form) {
  const value = (name) => String(form.get(name) ?? "").trim();
  const [effect, kind] = value("effect").split(":");
  const rule = {};
  if (kind) rule[effect] = kind;
  else if (effect === "error") rule.error = value("error");
  else if (effect === "rate_limit") rule.rate_limit = { requests: Number(value("requests")), per: value("per") };
  else if (effect === "status") {
    rule.status = Number(value("status"));
    if (value("retry_after")) rule.retry_after = value("retry_after");
  } else rule[effect] = value("time");
  for (const name of ["op", "address"]) if (value(name)) rule[name] = value(name);
  for (const name of ["every", "times"]) if (value(name)) rule[name] = Number(value(name));
  return rule;
}
