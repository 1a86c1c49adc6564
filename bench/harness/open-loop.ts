/**
 * The load generator, in a process of its own: requests that arrive when they are due, whether or not those before were answered.
 * Latency counts from when a request was due.
 */
import { startChild } from "./child.js";

const childScript = new URL("open-loop-child.js", import.meta.url);

export interface OpenLoopSpec {
  readonly url: string;
  readonly path: string;
  /** In the order of their times. */
  readonly arrivals: readonly Arrival[];
  /** Connections that are opened before the first arrival; later ones are opened when all others are taken. */
  readonly connections: number;
  /** What replied is handed on; else only whether it was good. */
  readonly replies: boolean;
}

export interface Arrival {
  /** After the start. */
  readonly dueMs: number;
  /** JSON. */
  readonly body: string;
}

/** What came of an arrival. */
export interface Answer {
  /** From when it was due. */
  readonly ms: number;
  /** By which it was sent too late: the part of `ms` that is the generator's own. */
  readonly lateMs: number;
  /** Null where nobody asked for it. */
  readonly reply: string | null;
}

export interface OpenLoop {
  /** In the order of the arrivals. */
  readonly answers: readonly Answer[];
  /** What the generator took of the processors that it shares with the server. */
  readonly cpuMs: number;
}

/** Requests that are all sent at once and kept waiting; whatever has not been answered is given up when this is disposed of. */
export function holdLoad(spec: OpenLoopSpec): AsyncDisposable {
  return startChild(childScript, [], { input: JSON.stringify(spec) });
}

/** What the child prints: the loop, or what failed and how often. */
export interface OpenLoopOutput extends OpenLoop {
  readonly failures: Readonly<Record<string, number>>;
}

/** @throws where one of the requests is refused, fails, or has an input that failed: nothing is left out of the figures */
export async function openLoop(spec: OpenLoopSpec): Promise<OpenLoop> {
  const child = startChild(childScript, [], { input: JSON.stringify(spec) });
  const { failures, ...loop } = JSON.parse(await child.output()) as OpenLoopOutput;
  const failed = Object.entries(failures);
  if (failed.length > 0)
    throw new Error(`requests to ${spec.url}${spec.path} failed: ${JSON.stringify(failed)}`);
  return loop;
}
