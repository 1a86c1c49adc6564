/**
 * A bridge in this process's own network namespace, and a namespace for each node with one end of a cable in it:
 *
 *   this namespace   NATS, edge, callers ── bridge 10.77.0.1 ─┬─ cable ─ namespace of node 1, 10.77.0.11
 *                                                             ├─ cable ─ namespace of node 2, 10.77.0.12
 *
 * A namespace goes with the last process in it, and its cable with it: nothing is left to clear away.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { NodeNetwork, NodePlace } from "./network.js";

const runFile = promisify(execFile);
const bridge = "bench0";
const hubHost = "10.77.0.1";
const lookMs = 2;
const lookMsMax = 10_000;

export async function openNamespaces(): Promise<NodeNetwork> {
  await ip("link", "set", "lo", "up");
  await ip("link", "add", bridge, "type", "bridge");
  await ip("addr", "add", `${hubHost}/24`, "dev", bridge);
  await ip("link", "set", bridge, "up");
  let places = 0;
  return {
    natsHost: hubHost,
    join: async (natsPort) => {
      places += 1;
      return new Namespace(places, natsPort);
    },
    async [Symbol.asyncDispose]() {
      await ip("link", "del", bridge);
    },
  };
}

class Namespace implements NodePlace {
  readonly natsUrl: string;
  readonly host: string;
  readonly #number: number;
  #cables = 0;
  #isCut = false;

  constructor(number: number, natsPort: number) {
    this.#number = number;
    this.natsUrl = `nats://${hubHost}:${natsPort}`;
    this.host = `10.77.0.${10 + number}`;
  }

  get #cable(): string {
    return `n${this.#number}c${this.#cables}`;
  }

  /** The shell waits in the new namespace until its cable is there, and then becomes the server. */
  readonly launch = async (
    argv: readonly string[],
    env: NodeJS.ProcessEnv,
  ): Promise<ChildProcess> => {
    const waiting = ["--net", "sh", "-c", 'read go && exec "$@" </dev/null', "sh"];
    const child = spawn("unshare", [...waiting, ...argv], {
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
      env,
    });
    const pid = String(child.pid);
    await movedAway(pid);
    this.#cables += 1;
    // Always the same address, so that nobody looks for the machine where it was before.
    const address = `02:00:00:00:00:${String(10 + this.#number)}`;
    const peer = ["peer", "name", "eth0", "address", address, "netns", pid];
    await ip("link", "add", this.#cable, "type", "veth", ...peer);
    if (!this.#isCut) await ip("link", "set", this.#cable, "master", bridge);
    await ip("link", "set", this.#cable, "up");
    const inside = (...args: string[]) => runFile("nsenter", ["-t", pid, "-n", "ip", ...args]);
    await inside("addr", "add", `${this.host}/24`, "dev", "eth0");
    await inside("link", "set", "lo", "up");
    await inside("link", "set", "eth0", "up");
    child.stdin.end("go\n");
    return child;
  };

  /** Out of the bridge: the node's cable is still in, and what it sends goes nowhere. */
  async cut(): Promise<void> {
    this.#isCut = true;
    await this.#changeCable("nomaster");
  }

  async heal(): Promise<void> {
    this.#isCut = false;
    await this.#changeCable("master", bridge);
  }

  async #changeCable(...args: string[]): Promise<void> {
    // The cable goes with a node that was killed; the next one gets its own.
    await ip("link", "set", this.#cable, ...args).catch((error: unknown) => {
      if (!/Cannot find device/.test(String(error))) throw error;
    });
  }
}

async function ip(...args: string[]): Promise<void> {
  await runFile("ip", args);
}

async function movedAway(pid: string): Promise<void> {
  const own = await readlink("/proc/self/ns/net");
  const endAtMs = performance.now() + lookMsMax;
  while ((await readlink(`/proc/${pid}/ns/net`)) === own) {
    if (performance.now() > endAtMs) throw new Error("unshare made no namespace");
    await delay(lookMs);
  }
}
