/** Tests of a program that sends messages, against the sandbox. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import * as grpc from "@grpc/grpc-js";

import { failure, isServiceError } from "./client.js";
import { Sandbox, type World } from "./sandbox.js";

let sandbox: Sandbox;
before(async () => {
  sandbox = await Sandbox.start();
});
after(() => sandbox.stop());

const hi = {
  fromAddress: "alice",
  recipient: { $case: "toAddress", value: "bob" },
  message: "Hi",
} as const;

async function create({ client }: World, ...addresses: string[]): Promise<void> {
  for (const address of addresses) {
    await client.call(client.users, client.users.createUser, { address, appId: "demo" });
  }
}

/** The messages of the world, from the API that the page uses. */
async function messages(world: World): Promise<{ msg: string }[]> {
  const response = await fetch(`${world.page}sandbox/messages?world=${world.name}`);
  return ((await response.json()) as { messages: { msg: string }[] }).messages;
}

test("a message that is sent arrives", async (t) => {
  const world = sandbox.world(t);
  await create(world, "alice", "bob");
  const { client } = world;
  await client.once(client.messages, client.messages.sendMessage, hi);
  assert.deepEqual((await messages(world)).map(({ msg }) => msg), ["Hi"]);
});

test("a message with an id is sent once", async (t) => {
  const world = sandbox.world(t);
  await create(world, "alice", "bob");
  const { client } = world;
  const request = { ...hi, requestId: crypto.randomUUID() };
  const send = () => client.once(client.messages, client.messages.sendMessage, request);
  assert.deepEqual(await send(), await send());
  assert.equal((await messages(world)).length, 1);
});

test("a failure has its details", async (t) => {
  const { client } = sandbox.world(t);
  const sent = client.call(client.messages, client.messages.sendMessage, hi);
  const error: unknown = await sent.then(() => undefined, (error: unknown) => error);
  assert(isServiceError(error));
  const { code, domain, outcomeIsUnknown } = failure(error);
  assert.deepEqual([code, domain, outcomeIsUnknown], [grpc.status.NOT_FOUND, "mesibo.com", false]);
});
