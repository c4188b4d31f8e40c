/**
 * A client of mesibo-grpc for web pages, to copy into one of your own.
 *
 * It opens a transport by a URL, gives every call a deadline and the caller's key, repeats
 * what is safe to repeat, and reads errors from their details.
 */

import { reflect } from "@bufbuild/protobuf/reflect";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

import {
  BadRequestSchema,
  type BadRequest_FieldViolation as FieldViolation,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "./build/stubs/google/rpc/error_details_pb.js";

/** Milliseconds that a call may take, if it says nothing else. */
const DEADLINE = 10_000;

/** How often a call is made at the most. */
const ATTEMPTS = 4;

/** The codes after which a call with a requestId may be made again, with the same id. */
const REPEATABLE = [Code.Unavailable, Code.Unknown, Code.DeadlineExceeded, Code.Internal];

export interface Options {
  /**
   * The caller's key, if the server wants one. Whoever opens the page can read it: let
   * people enter their own, and keep it in no file that the page is made of.
   */
  key?: string;
  /** The Mesibo application to call for, if there are several. */
  app?: string;
}

/**
 * A transport to the server at a URL, for the clients of all services. The server's
 * `cors-origins` must name the origin of the page, unless both are the same.
 */
export function connect(url: string, { key, app }: Options = {}): Transport {
  const identify: Interceptor = (next) => (request) => {
    if (key) request.header.set("authorization", `Bearer ${key}`);
    if (app) request.header.set("mesibo-app", app);
    return next(request);
  };
  return createConnectTransport({
    baseUrl: url,
    defaultTimeoutMs: DEADLINE,
    interceptors: [repeat, identify],
  });
}

/** Repeats what is safe to repeat, as the contract says of each RPC. */
const repeat: Interceptor = (next) => async (request) => {
  if (request.stream) return next(request);
  let codes: Code[] = [];
  if (request.method.idempotency !== Idempotency.IDEMPOTENCY_UNKNOWN) {
    codes = [Code.Unavailable];
  }
  const id = request.method.input.field["requestId"];
  if (id !== undefined) {
    // What has an id is carried out once, whatever was lost on the way.
    codes = REPEATABLE;
    const message = reflect(request.method.input, request.message);
    if (!message.isSet(id)) message.set(id, crypto.randomUUID());
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await next(request);
    } catch (error) {
      const failure = Failure.of(error);
      // At random, so that those who failed together do not come back together.
      const pause = failure.retryAfter ?? Math.random() * 100 * 2 ** attempt;
      const isLast = attempt === ATTEMPTS || pause >= DEADLINE || request.signal.aborted;
      if (isLast || !codes.includes(failure.code)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
};

/** What a program can know of a call that failed. */
export class Failure {
  private constructor(
    readonly code: Code,
    readonly text: string,
    /**
     * Who said no, "mesibo.com" or "mesibo-grpc", and why. Both are empty if the status was
     * made on the way: there is no connection, or the server does not list the page's
     * origin, of which a browser tells a page no more than that the call failed.
     */
    readonly domain: string,
    readonly reason: string,
    /** Whether what the call asks for may have happened: find out before you repeat it. */
    readonly outcomeIsUnknown: boolean,
    /** Every broken rule, with its field. */
    readonly violations: FieldViolation[],
    /** Milliseconds after which the call may be made again. */
    readonly retryAfter: number | undefined,
  ) {}

  /** Reads the details of an error. */
  static of(error: unknown): Failure {
    const known = ConnectError.from(error);
    const [info] = known.findDetails(ErrorInfoSchema);
    const [badRequest] = known.findDetails(BadRequestSchema);
    const delay = known.findDetails(RetryInfoSchema)[0]?.retryDelay;
    return new Failure(
      known.code,
      known.rawMessage,
      info?.domain ?? "",
      info?.reason ?? "",
      info?.metadata["outcome"] === "unknown",
      badRequest?.fieldViolations ?? [],
      delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6,
    );
  }

  /** What is known, in lines. */
  toString(): string {
    // NotFound is NOT_FOUND elsewhere.
    const name = Code[this.code].replace(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase();
    if (this.reason === "") return `${name}: ${this.text}`;
    const lines = [`${name}: ${this.reason} from ${this.domain}`];
    for (const { field, description } of this.violations) {
      lines.push(`  ${field}: ${description}`);
    }
    if (this.outcomeIsUnknown) {
      lines.push("  it may have been carried out: check before you repeat it");
    }
    if (this.retryAfter !== undefined) {
      lines.push(`  repeat it in ${this.retryAfter / 1000} s`);
    }
    return lines.join("\n");
  }
}
