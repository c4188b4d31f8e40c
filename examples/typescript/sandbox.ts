/**
 * A fixture for node:test: a sandbox of mesibo-grpc, with a world of its own for each test.
 *
 * Copy the file next to your tests. The program is `mesibo-grpc` of the PATH, or the one that
 * the environment variable MESIBO_GRPC names.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { TestContext } from "node:test";

import { Client } from "./client.js";

/** What one test has for itself: nothing that another one does shows up in it. */
export interface World {
  /** Calls by this client are for this world. */
  client: Client;
  /** The name, which the metadata mesibo-app carries. */
  name: string;
  /** The page that shows users, messages and requests. */
  page: string;
  /** The emulated API of Mesibo, and its application token for this world. */
  api: string;
  token: string;
}

/** A running sandbox. */
export class Sandbox {
  private constructor(
    private readonly process: ChildProcess,
    readonly url: string,
    readonly page: string,
  ) {}

  /** Starts one, on ports that the system chooses, and waits until it serves. */
  static async start(): Promise<Sandbox> {
    const program = process.env.MESIBO_GRPC ?? "mesibo-grpc";
    const child = spawn(
      program,
      ["sandbox", "--listen=127.0.0.1:0", "--emulator-listen=127.0.0.1:0"],
      {
        env: { ...process.env, MESIBO_GRPC_METRICS_LISTEN: "none" },
        stdio: ["ignore", "pipe", "ignore"],
      },
    );
    // It prints where it serves, and what to try first.
    let greeting = "";
    for await (const chunk of child.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
      greeting += chunk;
      const address = /gRPC on ([^,]+),/.exec(greeting)?.[1];
      const page = /(http:\/\/\S+\/)api\.php/.exec(greeting)?.[1];
      if (address === undefined || page === undefined) continue;
      child.stdout.resume();
      await serves(program, `http://${address}`);
      return new Sandbox(child, `http://${address}`, page);
    }
    throw new Error(`${program} does not serve`);
  }

  /** A world, which ends with the test. */
  world(test: TestContext): World {
    const name = `test-${randomUUID()}`;
    const client = new Client(this.url, { key: undefined, app: name });
    test.after(async () => {
      client.close();
      await fetch(`${this.page}sandbox/worlds/${name}`, { method: "DELETE" });
    });
    return { client, name, page: this.page, api: `${this.page}api.php`, token: `sandbox-${name}` };
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.process.kill();
    await once(this.process, "exit");
  }
}

/** Waits until the health service of a server says that it serves. */
async function serves(program: string, url: string): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const asked = spawn(program, ["health", "--address", url], { stdio: "ignore" });
    const [status] = (await once(asked, "exit")) as [number | null];
    if (status === 0) return;
  }
  throw new Error(`${url} does not serve`);
}
