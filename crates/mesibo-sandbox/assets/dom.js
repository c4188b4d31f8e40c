// Elements. What users send becomes text, never HTML: nothing here parses any.

/** Makes an element: properties, listeners as `onclick`, and texts or elements in it. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A button that looks like a link. */
export function link(text, title, onclick) {
  return h("button", { type: "button", class: "link", title, onclick }, text);
}

/** The first letters of a name, on a colour of its own. */
export function avatar(name) {
  const letters = [...name.trim()].slice(0, 1).join("").toUpperCase() || "?";
  const element = h("span", { class: "avatar", "aria-hidden": "true" }, letters);
  let hue = 0;
  for (const letter of name) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  element.style.setProperty("--hue", hue);
  return element;
}

/** A time of day, with the whole time as its title. */
export function time(text) {
  const date = new Date(text);
  const today = date.toDateString() === new Date().toDateString();
  const short = today
    ? date.toLocaleTimeString()
    : date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return h("time", { datetime: text, title: text }, short);
}

/** Says something to everybody, screen readers included. */
export function say(text, problem = false) {
  const said = byId("said");
  said.classList.toggle("bad", problem);
  said.textContent = text;
  said.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => said.classList.remove("shown"), 5000);
}

/** Calls a function soon, and once for many calls. */
export function soon(work, wait = 100) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, wait);
  };
}
