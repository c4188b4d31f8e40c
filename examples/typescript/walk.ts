/**
 * Every RPC of mesibo-grpc, from TypeScript, by the client of client.ts.
 *
 * Usage: walk.js [URL]; the environment variable MESIBO_GRPC_KEY has the caller's key,
 * where the server wants one, and MESIBO_GRPC_CA_FILE names the authorities to trust in the
 * place of the usual ones.
 */

import * as grpc from "@grpc/grpc-js";

import { EditGroupMembersRequest_Action as Action } from "./build/stubs/mesibo/v1/group_service.js";
import type { SendMessageRequest } from "./build/stubs/mesibo/v1/message_service.js";
import { Client, explain, isServiceError } from "./client.js";

const ALICE = "alice 👩‍🚀 &=+% typescript";
const BOB = "בוב 🦀 typescript";
const TEXT = "Hello 🌍! שלום, مرحبا & 1+1=2, 100%\nsecond line\r\nthird line";
const APP_ID = "demo";

async function walk(client: Client): Promise<void> {
  const { users, groups, messages } = client;

  const alice = await client.call(users, users.createUser, {
    address: ALICE,
    appId: APP_ID,
    tokenExpiry: { seconds: 3600n, nanos: 0 },
  });
  await client.call(users, users.createUser, {
    address: BOB,
    appId: APP_ID,
  });
  console.log(`created ${ALICE} and ${BOB}`);

  const { gid } = await client.once(groups, groups.createGroup, {
    name: "team",
    members: [],
  });
  await client.call(groups, groups.editGroupMembers, {
    gid,
    members: [ALICE, BOB],
    action: Action.ACTION_ADD,
    permissions: { canSend: true },
  });
  const { members } = await client.call(groups, groups.listGroupMembers, { gid });
  const addresses = members.map((member) => member.address);
  console.log(`the group has ${addresses.join(" and ")}`);

  const recipients: Record<string, SendMessageRequest["recipient"]> = {
    to_address: { $case: "toAddress", value: BOB },
    gid: { $case: "gid", value: gid },
  };
  for (const [name, recipient] of Object.entries(recipients)) {
    const sent = await client.once(messages, messages.sendMessage, {
      fromAddress: ALICE,
      message: TEXT,
      recipient,
    });
    // A field that may be absent is undefined then, and never a default.
    const known = sent.messageId === undefined ? "without" : "with";
    console.log(`sent a message to ${name}, ${known} an id`);
  }

  // By address: 0 is no uid.
  await client.call(users, users.editUser, { uid: 0n, address: ALICE, flags: 1 });
  await client.call(groups, groups.editGroup, { gid, name: "crew" });
  console.log("edited the user and the group");

  await client.call(users, users.regenerateUserToken, { uid: 0n, address: BOB, appId: APP_ID });
  await client.call(users, users.deleteUserToken, { uid: 0n, address: BOB, appId: APP_ID });
  const found = await client.call(users, users.listUsers, {
    addressPattern: "* typescript",
  });
  for (const user of found.users) {
    const state = user.accessToken === undefined ? "without" : "with";
    console.log(`found ${user.address ?? ""}, ${state} a token`);
  }

  // A mistake: 90 seconds are no whole minutes, and there is no address at all.
  try {
    await client.call(users, users.createUser, {
      address: "",
      appId: APP_ID,
      tokenExpiry: { seconds: 90n, nanos: 0 },
    });
  } catch (error) {
    if (!isServiceError(error)) throw error;
    console.log(explain(error));
  }

  await client.call(users, users.deleteUser, { uid: 0n, address: ALICE });
  await client.call(users, users.deleteUser, { uid: 0n, address: BOB });
  await client.call(groups, groups.deleteGroup, { gid });
  console.log("deleted the users and the group");

  // What is gone already is often as good as deleted: the code tells.
  try {
    await client.call(users, users.deleteUser, { uid: alice.uid });
  } catch (error) {
    if (!isServiceError(error) || error.code !== grpc.status.NOT_FOUND) {
      throw error;
    }
    console.log(explain(error));
  }
}

async function main(): Promise<void> {
  // One client serves a whole process.
  const client = new Client(process.argv[2], { caFile: process.env.MESIBO_GRPC_CA_FILE });
  try {
    await walk(client);
  } catch (error) {
    if (!isServiceError(error)) throw error;
    console.log(explain(error));
    process.exitCode = 1;
  } finally {
    client.close();
  }
}

await main();
