/** The page: a form with the server and who calls, and what came of the calls. */

import { connect, Failure } from "./client.js";
import { walk } from "./walk.js";

const form = document.querySelector("form")!;
const output = document.querySelector("output")!;

function input(name: string): HTMLInputElement {
  return form.elements.namedItem(name) as HTMLInputElement;
}

function say(line: string): void {
  output.append(`${line}\n`);
}

async function run(): Promise<void> {
  output.replaceChildren();
  output.dataset["state"] = "running";
  const [key, app] = [input("key").value, input("app").value];
  try {
    await walk(connect(input("server").value, { key, app }), say);
    output.dataset["state"] = "done";
  } catch (error) {
    say(Failure.of(error).toString());
    output.dataset["state"] = "failed";
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});

// The part of a URL behind # is sent to no server: #server=http://127.0.0.1:50051&run
const given = new URLSearchParams(location.hash.slice(1));
for (const [name, value] of given) {
  if (name !== "run") input(name).value = value;
}
if (given.has("run")) void run();
