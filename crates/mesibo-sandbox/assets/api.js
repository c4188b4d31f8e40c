// The sandbox's own API, and the backend API with the token of a world.

/** Asks the sandbox's own API. Throws an Error with the API's text. */
export async function ask(path, query = {}, method = "GET", body = undefined) {
  const url = new URL(`/sandbox/${path}`, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const options = { method };
  if (body !== undefined) {
    options.headers = { "content-type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(url, options);
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (!response.ok) throw new Error(answer?.error ?? `HTTP ${response.status}`);
  return answer;
}

/** Carries an operation of the backend API out. Throws an Error with its code. */
export async function operate(token, parameters) {
  const response = await fetch("/api.php", {
    method: "POST",
    body: new URLSearchParams({ token, ...parameters }),
    redirect: "manual",
  });
  if (response.type === "opaqueredirect") throw new Error("The reply was an HTTP redirect.");
  if (!response.ok) throw new Error(`The reply had the HTTP status ${response.status}.`);
  let reply;
  try {
    reply = await response.json();
  } catch {
    throw new Error("The reply was no JSON.");
  }
  if (!reply.result) throw new Error(`Refused: ${reply.error ?? "without an error code"}.`);
  return reply;
}

/** Calls `changed` with what changed in a world, and `live` with whether it is heard. */
export function listen(world, changed, live) {
  const url = new URL("/sandbox/events", location.origin);
  url.searchParams.set("world", world);
  const events = new EventSource(url);
  let before = {};
  events.addEventListener("open", () => live(true));
  events.addEventListener("error", () => {
    before = {};
    live(false);
  });
  events.addEventListener("change", (event) => {
    const now = JSON.parse(event.data);
    changed(new Set(Object.keys(now).filter((name) => now[name] !== before[name])));
    before = now;
  });
  return events;
}
