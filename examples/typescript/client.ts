/**
 * A client of mesibo-grpc, to copy into a program of your own.
 *
 * It opens a channel by a URL, gives every call a deadline and the caller's key, repeats
 * what is safe to repeat, and reads errors from their details.
 */

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import * as grpc from "@grpc/grpc-js";

import type { Any } from "./build/stubs/google/protobuf/any.js";
import {
  BadRequest,
  type BadRequest_FieldViolation as FieldViolation,
  ErrorInfo,
  type MessageFns,
  RetryInfo,
} from "./build/stubs/google/rpc/error_details.js";
import { Status } from "./build/stubs/google/rpc/status.js";
import { GroupServiceClient } from "./build/stubs/mesibo/v1/group_service.js";
import { MessageServiceClient } from "./build/stubs/mesibo/v1/message_service.js";
import { UserServiceClient } from "./build/stubs/mesibo/v1/user_service.js";

/** Milliseconds that a call may take, if it says nothing else. */
const DEADLINE = 10_000;

/** docs/service-config.json: repeats what is safe to repeat, and balances over servers. */
const SERVICE_CONFIG = new URL("../../service-config.json", import.meta.url);

/** The codes after which a call with a requestId may be made again, with the same id. */
const REPEATABLE: grpc.status[] = [
  grpc.status.UNAVAILABLE,
  grpc.status.UNKNOWN,
  grpc.status.DEADLINE_EXCEEDED,
  grpc.status.INTERNAL,
];

/** A method of a client that sends one message and gets one back. */
type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  callback: (error: grpc.ServiceError | null, response: Response) => void,
) => grpc.ClientUnaryCall;

export interface Options {
  /** The caller's key; that of the environment by default, and none if undefined. */
  key?: string | undefined;
  /** The Mesibo application to call for, if there are several. */
  app?: string;
  /** The PEM file of authorities to trust in the place of the usual ones. */
  caFile?: string | undefined;
}

/** The services of a server. One serves a whole process. */
export class Client {
  readonly users: UserServiceClient;
  readonly groups: GroupServiceClient;
  readonly messages: MessageServiceClient;
  readonly #channel: grpc.Channel;
  readonly #metadata = new grpc.Metadata();

  /** Connects to the server at a URL: over TLS for https, in plaintext for http. */
  constructor(url = "http://127.0.0.1:50051", options: Options = {}) {
    const { protocol, host } = new URL(url.includes("//") ? url : `http://${url}`);
    const credentials =
      protocol === "https:"
        ? grpc.credentials.createSsl(options.caFile ? readFileSync(options.caFile) : null)
        : grpc.credentials.createInsecure();
    this.#channel = new grpc.Channel(host, credentials, {
      "grpc.service_config": readFileSync(SERVICE_CONFIG, "utf8"),
      // Finds out when a connection was dropped silently.
      "grpc.keepalive_time_ms": 30_000,
    });
    const key = "key" in options ? options.key : process.env.MESIBO_GRPC_KEY;
    if (key) this.#metadata.set("authorization", `Bearer ${key}`);
    if (options.app) this.#metadata.set("mesibo-app", options.app);
    // A client that is given a channel uses nothing else of how to connect.
    const connection = [host, credentials, { channelOverride: this.#channel }] as const;
    this.users = new UserServiceClient(...connection);
    this.groups = new GroupServiceClient(...connection);
    this.messages = new MessageServiceClient(...connection);
  }

  /** Calls a method of one of the services, and promises its response. */
  call<Request, Response>(
    service: grpc.Client,
    method: UnaryMethod<Request, Response>,
    // The method alone says what its request is; else a field with a misspelt
    // name would pass as one more field.
    request: NoInfer<Request>,
    // A deadline is a point in time, so each call has one of its own.
    deadline = Date.now() + DEADLINE,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      method.call(
        service,
        request,
        this.#metadata.clone(),
        { deadline },
        (error, response) => {
          if (error) reject(error);
          else resolve(response);
        },
      );
    });
  }

  /**
   * Makes a call that has a requestId, again and again until its outcome is known. Only
   * sendMessage and createGroup take an id. Whatever was lost on the way, what the call
   * asks for happens once. The deadline is for all attempts together.
   */
  async once<Request extends { requestId?: string | undefined }, Response>(
    service: grpc.Client,
    method: UnaryMethod<Request, Response>,
    request: NoInfer<Request>,
    attempts = 4,
  ): Promise<Response> {
    const deadline = Date.now() + DEADLINE;
    // Made once, before the first attempt.
    const identified = { requestId: randomUUID(), ...request };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.call(service, method, identified, deadline);
      } catch (error) {
        if (!isServiceError(error) || !REPEATABLE.includes(error.code)) throw error;
        // At random, so that those who failed together do not come back together.
        const pause = failure(error).retryAfter ?? Math.random() * 100 * 2 ** attempt;
        if (attempt === attempts || Date.now() + pause >= deadline) throw error;
        await sleep(pause);
      }
    }
  }

  close(): void {
    this.#channel.close();
  }
}

/** What a program can know of a call that failed. */
export interface Failure {
  code: grpc.status;
  text: string;
  /**
   * Who said no, "mesibo.com" or "mesibo-grpc", and why. Both are empty if the status was
   * made on the way: there is no connection, for example.
   */
  domain: string;
  reason: string;
  /** Whether what the call asks for may have happened: find out before you repeat it. */
  outcomeIsUnknown: boolean;
  /** Every broken rule, with its field. */
  violations: FieldViolation[];
  /** Milliseconds after which the call may be made again. */
  retryAfter: number | undefined;
}

/** Whether this is how a call failed, and no mistake of the program's own. */
export function isServiceError(error: unknown): error is grpc.ServiceError {
  return (
    error instanceof Error &&
    "metadata" in error &&
    error.metadata instanceof grpc.Metadata
  );
}

/** Reads the details of an error. */
export function failure(error: grpc.ServiceError): Failure {
  const [status] = error.metadata.get("grpc-status-details-bin");
  const details = Buffer.isBuffer(status) ? Status.decode(status).details : [];
  const info = unpack(details, ErrorInfo);
  const delay = unpack(details, RetryInfo)?.retryDelay;
  return {
    code: error.code,
    text: error.details,
    domain: info?.domain ?? "",
    reason: info?.reason ?? "",
    outcomeIsUnknown: info?.metadata.outcome === "unknown",
    violations: unpack(details, BadRequest)?.fieldViolations ?? [],
    retryAfter: delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6,
  };
}

/** Says what is known of an error, in lines. */
export function explain(error: grpc.ServiceError): string {
  const known = failure(error);
  const code = grpc.status[known.code];
  if (!known.reason) return `${code}: ${known.text}`;
  const lines = [`${code}: ${known.reason} from ${known.domain}`];
  for (const violation of known.violations) {
    lines.push(`  ${violation.field}: ${violation.description}`);
  }
  if (known.outcomeIsUnknown) {
    lines.push("  it may have been carried out: check before you repeat it");
  }
  if (known.retryAfter !== undefined) {
    lines.push(`  repeat it in ${known.retryAfter / 1000} s`);
  }
  return lines.join("\n");
}

/** The detail of a type, if there is one. */
function unpack<T>(details: Any[], type: MessageFns<T, string>): T | undefined {
  const detail = details.find((any) => any.typeUrl.endsWith(`/${type.$type}`));
  return detail && type.decode(detail.value);
}
