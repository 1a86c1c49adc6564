/**
 * One parser, many inputs. What must hold of every one: it is taken, or refused with a registered code; it takes no time to
 * speak of; and when all of them are over, memory is what it was after the first tenth.
 *
 * Input `index` of a seed is made of these two numbers alone, so that any of them can be had again without the others.
 */
import { readdirSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isErrorCode, MillraceError } from "millrace-client/wire";
import { Random } from "../sim/random.js";
import type { OpenParser } from "./parser.js";

export interface FuzzRange {
  readonly seed: number;
  /** First input. */
  readonly from: number;
  readonly inputs: number;
}

export interface FuzzReport {
  readonly inputs: number;
  readonly taken: number;
  /** Inputs by the code that refused them. */
  readonly refused: Readonly<Record<string, number>>;
  /** Of one input: where one seemed slow, the least of its repetitions. */
  readonly slowestMs: number;
  /** Of all inputs, made and taken. */
  readonly ms: number;
  /** Bytes that were there at the end and not after the first tenth. */
  readonly grownBytes: number;
  readonly problems: readonly FuzzProblem[];
}

export interface FuzzProblem {
  readonly kind: "thrown" | "slow" | "leak";
  readonly index: number;
  readonly message: string;
}

export const inputMsMax = 50;
/** Code that was compiled and caches that were filled meanwhile; a leak of a hundred bytes an input is more in a hundred thousand. */
const grownBytesMax = 8 * 1024 * 1024;
/** A look at one that seems slow; the machine may have been busy with something else. */
const repetitions = 3;
const problemsMax = 10;

interface Run {
  readonly parser: OpenParser;
  readonly range: FuzzRange;
  /** Default: `inputMsMax`. */
  readonly msMax?: number;
  /** False: not at memory, for each look is three collections of all of it. Default: true. */
  readonly looksAtMemory?: boolean;
  readonly onProgress: (index: number) => void;
}

export async function runFuzz(run: Run): Promise<FuzzReport> {
  const { range, onProgress, msMax = inputMsMax, looksAtMemory = true } = run;
  const problems: FuzzProblem[] = [];
  // The same mistake again and again would hide the others.
  const add = (problem: FuzzProblem): void => {
    const known = problems.some(({ message }) => message === problem.message);
    if (!known) problems.push(problem);
  };
  const refused: Record<string, number> = {};
  let [taken, slowestMs, index] = [0, 0, range.from];
  const thrownOutside = (error: unknown): void => {
    add({ kind: "thrown", index, message: `thrown where nobody waits: ${describe(error)}` });
  };
  process.on("uncaughtException", thrownOutside).on("unhandledRejection", thrownOutside);
  const until = range.from + range.inputs;
  const firstTenth = range.from + Math.ceil(range.inputs / 10);
  const startedAtMs = performance.now();
  // Looked at once: each look is three collections of all memory.
  let before: Held | null = null;
  for (; index < until && problems.length < problemsMax; index += 1) {
    if (index === firstTenth) before = await held(looksAtMemory);
    const one = await feed(run, index);
    if (one.problem !== null) add({ kind: "thrown", index, message: one.problem });
    else if (one.code === null) taken += 1;
    else refused[one.code] = (refused[one.code] ?? 0) + 1;
    let inputMs = one.ms;
    for (let left = repetitions; inputMs > msMax && left > 0; left -= 1) {
      const again = await feed(run, index);
      inputMs = Math.min(inputMs, again.ms, again.busyMs);
    }
    slowestMs = Math.max(slowestMs, inputMs);
    if (inputMs > msMax) add({ kind: "slow", index, message: `takes ${inputMs.toFixed(1)} ms` });
    onProgress(index + 1);
  }
  const ms = performance.now() - startedAtMs;
  const after = await held(looksAtMemory);
  process.off("uncaughtException", thrownOutside).off("unhandledRejection", thrownOutside);
  // Null: so much was wrong that even a tenth of them was not reached.
  before ??= after;
  const grownBytes = after.bytes - before.bytes;
  if (grownBytes > grownBytesMax)
    problems.push({ kind: "leak", index, message: `memory grew by ${grownBytes} bytes` });
  if (after.files > before.files + filesSpare) {
    problems.push({
      kind: "leak",
      index,
      message: `${after.files} files are open, ${before.files} were`,
    });
  }
  return { inputs: index - range.from, taken, refused, slowestMs, ms, grownBytes, problems };
}

interface Fed {
  readonly ms: number;
  /** Of the processor: what others do meanwhile is not in it. */
  readonly busyMs: number;
  /** That it was refused with; null: it was taken. */
  readonly code: string | null;
  readonly problem: string | null;
}

async function feed({ parser, range }: Run, index: number): Promise<Fed> {
  const input = parser.make(new Random(mixed(range.seed, index)));
  const busyBefore = process.cpuUsage();
  const startedAtMs = performance.now();
  const spent = (): Pick<Fed, "ms" | "busyMs"> => {
    const ms = performance.now() - startedAtMs;
    const { user, system } = process.cpuUsage(busyBefore);
    return { ms, busyMs: (user + system) / 1_000 };
  };
  try {
    // Most parsers wait for nothing, and a turn for each of a million inputs would be most of the time.
    const waits = parser.take(input);
    if (waits !== undefined) await waits;
    return { ...spent(), code: null, problem: null };
  } catch (error) {
    const fed = spent();
    const code = codeOf(error);
    return { ...fed, code, problem: code === null ? `threw ${describe(error)}` : null };
  }
}

/** Null where it is none of ours. A bug that was caught and named `internal` is one all the same. */
function codeOf(error: unknown): string | null {
  if (!(error instanceof MillraceError) || !isErrorCode(error.code)) return null;
  return error.code === "internal" ? null : error.code;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Neighbours have nothing in common. */
function mixed(seed: number, index: number): number {
  let hash = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 15), 0x27d4eb2f);
  return (hash ^ (hash >>> 13)) >>> 0;
}

interface Held {
  readonly bytes: number;
  readonly files: number;
}

/** The test runner and Node itself open some when they like. */
const filesSpare = 8;

/** Memory after a collection, where it is asked for, and open files where the system says them. */
async function held(looksAtMemory: boolean): Promise<Held> {
  if (!looksAtMemory) return { bytes: 0, files: openFiles() };
  // What buffers hold outside of the heap is given back a turn after nobody has them.
  for (let times = 0; times < 3; times += 1) {
    collect();
    await setImmediate();
  }
  const { heapUsed, external } = process.memoryUsage();
  return { bytes: heapUsed + external, files: openFiles() };
}

function openFiles(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0; // No Linux: memory is looked at all the same.
  }
}

const collect: () => void = (() => {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
})();
