/**
 * Where the nodes of the benchmark stand: each in a network namespace of its own, behind a bridge, or, where this machine lets nobody
 * make one, each behind a proxy to NATS. Either can be cut so that nothing arrives and nobody is told.
 */
import { spawnSync } from "node:child_process";
import type { Launch } from "../harness/server-tree.js";
import { openNamespaces } from "./namespaces.js";
import { openProxies } from "./proxies.js";

export interface NodeNetwork extends AsyncDisposable {
  /** Where NATS is to listen, so that every place reaches it. */
  readonly natsHost: string;
  join(natsPort: number): Promise<NodePlace>;
}

/** One machine, as far as its node can tell. */
export interface NodePlace {
  readonly natsUrl: string;
  /** Where a server in this place listens for others. */
  readonly host: string;
  readonly launch?: Launch;
  /** Nothing goes through any more, and no connection ends by it. */
  cut(): Promise<void>;
  heal(): Promise<void>;
}

export type NetworkKind = "namespaces" | "proxies";

/** Set in the process that runs in a namespace of its own already. */
const insideVariable = "BENCH_INSIDE_NAMESPACE";

export const isInside: boolean = process.env[insideVariable] === "1";

/** A reason where this machine has no namespaces for us. */
export function whyNoNamespaces(): string | null {
  for (const [program = "", ...args] of [
    ["ip", "-Version"],
    ["nsenter", "--version"],
    ["unshare", "--map-root-user", "--net", "ip", "link", "add", "bench0", "type", "bridge"],
  ]) {
    const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
    if (status !== 0) return `${program} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`;
  }
  return null;
}

/** The same benchmark again, as root of a network that is its own and goes with it. Gives its exit status. */
export function runInside(args: readonly string[]): number {
  const script = process.argv[1] ?? "";
  const { status } = spawnSync(
    "unshare",
    ["--map-root-user", "--net", process.execPath, script, "nodes", ...args],
    { stdio: "inherit", env: { ...process.env, [insideVariable]: "1" } },
  );
  return status ?? 1;
}

export async function openNetwork(kind: NetworkKind): Promise<NodeNetwork> {
  return kind === "namespaces" ? await openNamespaces() : openProxies();
}
