// A list of one of the API's collections: a page of it at a time, so that ten thousand
// entries cost what a hundred do.

import { ask } from "./api.js";
import { h, say } from "./dom.js";

const PAGE = 100;
const number = new Intl.NumberFormat();

export class List {
  /**
   * `name` is the collection, `id` the field of an entry with its id, `render` makes an
   * entry's element, `newestLast` turns each page round.
   */
  constructor({ name, id, element, counts, render, empty, newestLast = false }) {
    Object.assign(this, { name, id, element, counts, render, empty, newestLast });
    this.query = {};
    this.pages = [];
    this.rows = new Map();
    this.pager = h("div", { class: "pager", hidden: true });
    this.range = h("span", {});
    this.newest = this.button("Newest", () => this.pages.splice(0));
    this.newer = this.button("Newer", () => this.pages.pop());
    this.older = this.button("Older", () => this.pages.push(this.next));
    this.pager.append(this.newest, this.newer, this.range, this.older);
    element.before(this.pager);
  }

  button(text, move) {
    const turn = () => {
      move();
      this.refresh();
    };
    const label = `${text} ${this.name}`;
    return h("button", { type: "button", class: "quiet", "aria-label": label, onclick: turn }, text);
  }

  /** Shows what another query finds, from its beginning. */
  async find(query) {
    this.query = query;
    this.pages = [];
    await this.refresh();
  }

  /** Asks again. Of several answers under way the last one counts. */
  async refresh() {
    const asked = (this.asked = (this.asked ?? 0) + 1);
    const token = this.pages.at(-1);
    const query = { ...this.query, page_size: PAGE, order: "desc", page_token: token };
    let page;
    try {
      page = await ask(this.name, query);
    } catch (error) {
      if (asked === this.asked) say(error.message, true);
      return;
    }
    if (asked !== this.asked) return;
    this.next = page.next_page_token;
    this.total = page.total;
    this.show(page[this.name]);
  }

  show(entries) {
    for (const count of this.counts) count.textContent = number.format(this.total);
    const turned = this.pages.length > 0;
    this.range.textContent = `${number.format(entries.length)} of ${number.format(this.total)}`;
    this.pager.hidden = this.total <= PAGE && !turned;
    this.newest.disabled = this.newer.disabled = !turned;
    this.older.disabled = !this.next;
    const atEnd = this.element.scrollHeight - this.element.scrollTop - this.element.clientHeight < 40;
    const rows = new Map();
    for (const entry of this.newestLast ? entries.toReversed() : entries) {
      const key = String(entry[this.id]);
      const text = JSON.stringify(entry);
      const known = this.rows.get(key);
      rows.set(key, known?.text === text ? known : { text, element: this.render(entry, known?.element) });
    }
    this.rows = rows;
    this.place([...rows.values()].map((row) => row.element));
    if (this.newestLast && atEnd) this.element.scrollTop = this.element.scrollHeight;
  }

  /** Puts elements in order, and touches those that are in their place already not at all. */
  place(elements) {
    if (elements.length === 0) {
      this.element.replaceChildren(...(this.empty ? [h("li", { class: "empty" }, this.empty)] : []));
      return;
    }
    const kept = new Set(elements);
    for (const child of [...this.element.children]) if (!kept.has(child)) child.remove();
    let next = this.element.firstElementChild;
    for (const element of elements) {
      if (element === next) next = next.nextElementSibling;
      else this.element.insertBefore(element, next);
    }
  }

  /** The element of an entry, if it is on the page. */
  row(id) {
    return this.rows.get(String(id))?.element;
  }
}
