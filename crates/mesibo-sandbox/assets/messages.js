// The messages, as a conversation.

import { ask } from "./api.js";
import { avatar, byId, h, link, say, time } from "./dom.js";
import { List } from "./list.js";

export function messages(page) {
  const list = new List({
    name: "messages",
    id: "mid",
    element: byId("messages"),
    counts: page.counts("messages"),
    newestLast: true,
    render: (message) => render(page, message),
  });
  return list;
}

function render(page, message) {
  const person = (address) => link(address, `Only what is about ${address}`, () => page.focus({ address }));
  const to = message.gid
    ? [link(page.groupName(message.gid), "Only what is about this group", () => page.focus({ gid: message.gid }))]
    : message.to.flatMap((address, index) => (index ? [", ", person(address)] : [person(address)]));
  const remove = async () => {
    try {
      await ask(`messages/${message.mid}`, { world: page.world }, "DELETE");
      say(`Message ${message.mid} is deleted.`);
    } catch (error) {
      say(error.message, true);
    }
  };
  return h(
    "li",
    { class: "message", "data-mid": message.mid, tabindex: "-1" },
    avatar(message.from),
    h(
      "div",
      { class: "bubble" },
      h("p", { class: "who" }, person(message.from), h("span", { class: "arrow" }, message.gid ? " to the group " : " to "), to),
      h("p", { class: "text" }, message.msg),
      h(
        "p",
        { class: "meta" },
        time(message.sent),
        message.type ? h("span", {}, `type ${message.type}`) : null,
        h("span", {}, `mid ${message.mid}`),
        link("request", `The request that sent message ${message.mid}`, () => page.showRequest({ mid: message.mid })),
        h("button", { type: "button", class: "link", "aria-label": `Delete message ${message.mid}`, onclick: remove }, "delete"),
      ),
    ),
  );
}
