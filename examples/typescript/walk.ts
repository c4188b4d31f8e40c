/**
 * Every RPC of mesibo-grpc, from TypeScript.
 *
 * Usage: walk.js [HOST:PORT]; the environment variable MESIBO_GRPC_KEY has the
 * caller's key, where the server wants one.
 */

import * as grpc from "@grpc/grpc-js";

import type { Any } from "./build/stubs/google/protobuf/any.js";
import {
  BadRequest,
  ErrorInfo,
  type MessageFns,
  RetryInfo,
} from "./build/stubs/google/rpc/error_details.js";
import { Status } from "./build/stubs/google/rpc/status.js";
import {
  EditGroupMembersRequest_Action as Action,
  GroupServiceClient,
} from "./build/stubs/mesibo/v1/group_service.js";
import {
  MessageServiceClient,
  type SendMessageRequest,
} from "./build/stubs/mesibo/v1/message_service.js";
import { UserServiceClient } from "./build/stubs/mesibo/v1/user_service.js";

const ALICE = "alice 👩‍🚀 &=+% typescript";
const BOB = "בוב 🦀 typescript";
const TEXT = "Hello 🌍! שלום, مرحبا & 1+1=2, 100%\nsecond line\r\nthird line";
const APP_ID = "demo";

async function walk(channel: grpc.Channel): Promise<void> {
  // A client that is given a channel uses nothing else of how to connect.
  const connection = [
    channel.getTarget(),
    grpc.credentials.createInsecure(),
    { channelOverride: channel },
  ] as const;
  const users = new UserServiceClient(...connection);
  const groups = new GroupServiceClient(...connection);
  const messages = new MessageServiceClient(...connection);

  const alice = await call(users, users.createUser, {
    address: ALICE,
    appId: APP_ID,
    tokenExpiry: { seconds: 3600n, nanos: 0 },
  });
  const bob = await call(users, users.createUser, {
    address: BOB,
    appId: APP_ID,
  });
  console.log(`created ${ALICE} and ${BOB}`);

  const { gid } = await call(groups, groups.createGroup, {
    name: "team",
    members: [],
  });
  await call(groups, groups.editGroupMembers, {
    gid,
    members: [ALICE, BOB],
    action: Action.ACTION_ADD,
    permissions: { canSend: true },
  });
  const { members } = await call(groups, groups.listGroupMembers, { gid });
  const addresses = members.map((member) => member.address);
  console.log(`the group has ${addresses.join(" and ")}`);

  const recipients: Record<string, SendMessageRequest["recipient"]> = {
    to_address: { $case: "toAddress", value: BOB },
    gid: { $case: "gid", value: gid },
  };
  for (const [name, recipient] of Object.entries(recipients)) {
    const sent = await call(messages, messages.sendMessage, {
      fromAddress: ALICE,
      message: TEXT,
      recipient,
    });
    // A field that may be absent is undefined then, and never a default.
    const known = sent.messageId === undefined ? "without" : "with";
    console.log(`sent a message to ${name}, ${known} an id`);
  }

  await call(users, users.editUser, { uid: alice.uid, flags: 1 });
  await call(groups, groups.editGroup, { gid, name: "crew" });
  console.log("edited the user and the group");

  await call(users, users.regenerateUserToken, { uid: bob.uid, appId: APP_ID });
  await call(users, users.deleteUserToken, { uid: bob.uid, appId: APP_ID });
  const found = await call(users, users.listUsers, {
    addressPattern: "* typescript",
  });
  for (const user of found.users) {
    const state = user.accessToken === undefined ? "without" : "with";
    console.log(`found ${user.address ?? ""}, ${state} a token`);
  }

  // A mistake: 90 seconds are no whole minutes, and there is no address at all.
  try {
    await call(users, users.createUser, {
      address: "",
      appId: APP_ID,
      tokenExpiry: { seconds: 90n, nanos: 0 },
    });
  } catch (error) {
    if (!isServiceError(error)) throw error;
    explain(error);
  }

  await call(users, users.deleteUser, { uid: alice.uid });
  await call(users, users.deleteUser, { uid: bob.uid });
  await call(groups, groups.deleteGroup, { gid });
  console.log("deleted the users and the group");

  // What is gone already is often as good as deleted: the code tells.
  try {
    await call(users, users.deleteUser, { uid: alice.uid });
  } catch (error) {
    if (!isServiceError(error) || error.code !== grpc.status.NOT_FOUND) {
      throw error;
    }
    explain(error);
  }
}

/** A method of a client that sends one message and gets one back. */
type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  callback: (error: grpc.ServiceError | null, response: Response) => void,
) => grpc.ClientUnaryCall;

/** Calls a method, and promises what its callback gets. */
function call<Request, Response>(
  client: grpc.Client,
  method: UnaryMethod<Request, Response>,
  // The method alone says what its request is; else a field with a misspelt
  // name would pass as one more field.
  request: NoInfer<Request>,
): Promise<Response> {
  // A deadline is a point in time, so each call has one of its own.
  const options = { deadline: Date.now() + 10_000 };
  return new Promise((resolve, reject) => {
    method.call(client, request, credentials(), options, (error, response) => {
      if (error) reject(error);
      else resolve(response);
    });
  });
}

/** The metadata that tells the server who calls. */
function credentials(): grpc.Metadata {
  const metadata = new grpc.Metadata();
  const key = process.env.MESIBO_GRPC_KEY;
  if (key) metadata.set("authorization", `Bearer ${key}`);
  return metadata;
}

/** Whether this is how a call failed, and no mistake of the program's own. */
function isServiceError(error: unknown): error is grpc.ServiceError {
  return (
    error instanceof Error &&
    "metadata" in error &&
    error.metadata instanceof grpc.Metadata
  );
}

/** Says what a program can know of an error, from its details. */
function explain(error: grpc.ServiceError): void {
  const [status] = error.metadata.get("grpc-status-details-bin");
  const details = Buffer.isBuffer(status) ? Status.decode(status).details : [];
  const info = unpack(details, ErrorInfo);
  const badRequest = unpack(details, BadRequest);
  const retryInfo = unpack(details, RetryInfo);

  const code = grpc.status[error.code];
  console.log(`${code}: ${info?.reason ?? ""} from ${info?.domain ?? ""}`);
  for (const violation of badRequest?.fieldViolations ?? []) {
    console.log(`  ${violation.field}: ${violation.description}`);
  }
  if (info?.metadata.outcome === "unknown") {
    console.log("  it may have been carried out: check before you repeat it");
  }
  if (retryInfo?.retryDelay) {
    console.log(`  repeat it in ${retryInfo.retryDelay.seconds} s`);
  }
}

/** The detail of a type, if there is one. */
function unpack<T>(details: Any[], type: MessageFns<T, string>): T | undefined {
  const detail = details.find((any) => any.typeUrl.endsWith(`/${type.$type}`));
  return detail && type.decode(detail.value);
}

async function main(): Promise<void> {
  const address = process.argv[2] ?? "127.0.0.1:50051";
  // One channel serves all clients of a process.
  const channel = new grpc.Channel(
    address,
    grpc.credentials.createInsecure(),
    {},
  );
  try {
    await walk(channel);
  } catch (error) {
    if (!isServiceError(error)) throw error;
    explain(error);
    process.exitCode = 1;
  } finally {
    channel.close();
  }
}

await main();
