/** Every RPC of users, groups and messages, from a web page, by the client of client.ts. */

import { type Client, createClient, type Transport } from "@connectrpc/connect";

import {
  EditGroupMembersRequest_Action as Action,
  GroupService,
} from "./build/stubs/mesibo/v1/group_service_pb.js";
import { MessageService } from "./build/stubs/mesibo/v1/message_service_pb.js";
import { UserService } from "./build/stubs/mesibo/v1/user_service_pb.js";
import { Failure } from "./client.js";

const ALICE = "alice 👩‍🚀 &=+% browser";
const BOB = "בוב 🦀 browser";
const TEXT = "Hello 🌍! שלום, مرحبا & 1+1=2, 100%\nsecond line\r\nthird line";
const APP_ID = "demo";

/** Makes the calls, and says what comes of them. */
export async function walk(transport: Transport, say: (line: string) => void): Promise<void> {
  const users = createClient(UserService, transport);
  const groups = createClient(GroupService, transport);
  const messages = createClient(MessageService, transport);

  const tokenExpiry = { seconds: 3600n };
  const alice = await users.createUser({ address: ALICE, appId: APP_ID, tokenExpiry });
  const bob = await users.createUser({ address: BOB, appId: APP_ID });
  say(`created ${ALICE} and ${BOB}`);

  const { gid } = await groups.createGroup({ name: "team" });
  await groups.editGroupMembers({
    gid,
    members: [ALICE, BOB],
    action: Action.ADD,
    permissions: { canSend: true },
  });
  const { members } = await groups.listGroupMembers({ gid });
  say(`the group has ${members.map((member) => member.address).join(" and ")}`);

  await send(messages, { case: "toAddress", value: BOB }, say);
  await send(messages, { case: "gid", value: gid }, say);

  await users.editUser({ uid: alice.uid, flags: 1 });
  await groups.editGroup({ gid, name: "crew" });
  say("edited the user and the group");

  await users.regenerateUserToken({ uid: bob.uid, appId: APP_ID });
  await users.deleteUserToken({ uid: bob.uid, appId: APP_ID });
  const found = await users.listUsers({ addressPattern: "* browser" });
  for (const { address, accessToken } of found.users) {
    say(`found ${address}, ${accessToken === undefined ? "without" : "with"} a token`);
  }

  // A mistake: 90 seconds are no whole minutes, and there is no address at all.
  await refused(users.createUser({ appId: APP_ID, tokenExpiry: { seconds: 90n } }), say);

  for (const { uid } of [alice, bob]) {
    await users.deleteUser({ uid });
  }
  await groups.deleteGroup({ gid });
  say("deleted the users and the group");

  // What is gone already is often as good as deleted: the code tells.
  await refused(users.deleteUser({ uid: alice.uid }), say);
}

type Recipient = { case: "toAddress"; value: string } | { case: "gid"; value: bigint };

async function send(
  messages: Client<typeof MessageService>,
  recipient: Recipient,
  say: (line: string) => void,
): Promise<void> {
  const sent = await messages.sendMessage({ fromAddress: ALICE, message: TEXT, recipient });
  // A field that may be absent is undefined then, and never a default.
  const known = sent.messageId === undefined ? "without" : "with";
  const name = recipient.case === "gid" ? "gid" : "to_address";
  say(`sent a message to ${name}, ${known} an id`);
}

async function refused(call: Promise<unknown>, say: (line: string) => void): Promise<void> {
  try {
    await call;
  } catch (error) {
    say(Failure.of(error).toString());
  }
}
