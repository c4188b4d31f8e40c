// Users and groups.

import { ask } from "./api.js";
import { avatar, byId, h, link, say } from "./dom.js";
import { List } from "./list.js";

export function users(page) {
  return new List({
    name: "users",
    id: "uid",
    element: byId("users"),
    counts: page.counts("users"),
    empty: "No users yet.",
    render: (user) =>
      h(
        "li",
        { class: "person", "data-uid": user.uid, tabindex: "-1" },
        avatar(user.address),
        h(
          "div",
          { class: "who" },
          link(user.address, `Only what is about ${user.address}`, () => page.focus({ address: user.address })),
          h("p", { class: "meta" }, user.name ? h("span", {}, user.name) : null, h("span", {}, `uid ${user.uid}`), inactive(user)),
        ),
        remove(page, `users/${user.uid}`, `user ${user.address}`),
      ),
  });
}

export function groups(page) {
  return new List({
    name: "groups",
    id: "gid",
    element: byId("groups"),
    counts: page.counts("groups"),
    empty: "No groups yet.",
    render: (group) => {
      const members = group.members.slice(0, 50).flatMap(({ address }, index) => {
        const member = link(address, `Only what is about ${address}`, () => page.focus({ address }));
        return index ? [", ", member] : [member];
      });
      const more = group.members.length - 50;
      const name = group.name || `Group ${group.gid}`;
      return h(
        "li",
        { class: "person", "data-gid": group.gid, tabindex: "-1" },
        avatar(name),
        h(
          "div",
          { class: "who" },
          link(name, "Only what is about this group", () => page.focus({ gid: group.gid })),
          h("p", { class: "meta" }, h("span", {}, `gid ${group.gid}`), h("span", {}, `${group.members.length} members`), inactive(group)),
          h("p", { class: "members" }, members, more > 0 ? `, and ${more} more` : ""),
        ),
        remove(page, `groups/${group.gid}`, `group ${name}`),
      );
    },
  });
}

function inactive({ active }) {
  return active ? null : h("span", { class: "badge refused" }, "inactive");
}

function remove(page, path, what) {
  const onclick = async () => {
    try {
      await ask(path, { world: page.world }, "DELETE");
      say(`The ${what} is deleted.`);
    } catch (error) {
      say(error.message, true);
    }
  };
  return h("button", { type: "button", class: "remove", "aria-label": `Delete ${what}`, title: `Delete ${what}`, onclick }, "×");
}
