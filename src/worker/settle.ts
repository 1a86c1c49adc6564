/**
 * A pipeline ended with items in it: what becomes of each? Pure, so that every case can be tested.
 *
 *   cancelled ────────────────────────────────► dropped: nobody waits
 *   blamed ──┬─ was alone at a fault, twice ────► failed, item_poison
 *            ├─ tried attemptsMax times ────────► failed, worker_lost
 *            └─ else ───────────────────────────► a group of suspects that runs exclusively:
 *                                                 halves of those blamed, until each is alone
 *   not blamed ──┬─ tried attemptsMax times ────► failed, worker_lost
 *                └─ else ───────────────────────► innocent: queues again at its old place
 *
 * Who is blamed depends on what the end says:
 *
 *   a fault (crash, hang, lie, memory) ──► what was begun: one of these did it
 *   from outside, SIGKILL mostly ────────► nobody at first: an operator's kill says nothing about items. But some killers
 *                                          leave no trace that we could read (a container's, a user's own out-of-memory
 *                                          daemon), so what was begun at an earlier end from outside too is blamed, and
 *                                          so is what was begun and has one try left: it must not share that one
 *   while it loaded a model ─────────────► nobody: that is the model's doing, and no item was run meanwhile
 *   a stop of our own ───────────────────► nobody
 *
 * To be blamed is no harm: suspects run exclusively, and the innocent among them succeed. Only a fault while alone
 * proves anything, so an end from outside never makes a poison: whoever kills at random ends in `worker_lost`, after
 * `attemptsMax` tries, as any item whose workers are lost; and an item that has its worker killed each time ends there
 * too, alone, with its neighbours done.
 */
import { type ErrorCode, MillraceError, type PipelineFault } from "millrace-client/wire";
import type { FailedItem } from "./events.js";

/** Why a process ended that the server did not end on purpose. `reason` is for people. */
export interface Fault {
  readonly kind: PipelineFault;
  readonly reason: string;
}

/** As it is settled: that it was loading outweighs how it ended. */
export interface Cause {
  readonly kind: PipelineFault | "load" | "stopped";
  readonly reason: string;
}

/** What an item went through, kept between its attempts. */
export interface Past {
  readonly attempts: number;
  /** Faults that ended a pipeline while this was the only item that it had begun. */
  readonly aloneKills: number;
  /** Ends from outside while it was begun. */
  readonly outsideEnds: number;
}

/** What `settle` looks at; the ledger's entries have it. */
export interface SettledEntry {
  readonly itemId: number;
  readonly attempt: number;
  readonly aloneKills: number;
  readonly outsideEnds: number;
  readonly begun: boolean;
  readonly cancelled: boolean;
}

export interface Verdict {
  readonly dropped: readonly number[];
  readonly innocent: readonly number[];
  readonly groups: readonly (readonly number[])[];
  readonly failed: readonly FailedItem[];
  /** Of those that will be tried again. */
  readonly pasts: ReadonlyMap<number, Past>;
}

/** How many faults while alone make an item the poison. */
const aloneKillsMax = 2;

export interface SettleOptions {
  readonly attemptsMax: number;
}

export function settle(
  entries: readonly SettledEntry[],
  cause: Cause,
  { attemptsMax }: SettleOptions,
): Verdict {
  const begun = entries.filter((entry) => entry.begun);
  const only = isFault(cause) && begun.length === 1 ? begun[0] : undefined;
  const pasts = new Map<number, Past>();
  const failed: FailedItem[] = [];
  const suspects: SettledEntry[] = [];
  const innocent: number[] = [];
  for (const entry of entries) {
    if (entry.cancelled) continue;
    const { itemId } = entry;
    const past = pastOf(entry, { cause, alone: entry === only });
    const code = failureOf(past, { alone: entry === only, attemptsMax });
    if (code !== null) {
      const error = new MillraceError(code, `${messages[code]} (${cause.reason})`).toWire();
      failed.push({ itemId, error });
      continue;
    }
    pasts.set(itemId, past);
    if (isBlamed(entry, { cause, past, attemptsMax })) suspects.push(entry);
    else innocent.push(itemId);
  }
  const dropped = entries.filter((entry) => entry.cancelled).map(({ itemId }) => itemId);
  return { dropped, innocent, groups: split(suspects, attemptsMax), failed, pasts };
}

/** Whether the end says at once that something begun caused it. */
function isFault({ kind }: Cause): boolean {
  return kind !== "outside" && kind !== "load" && kind !== "stopped";
}

function pastOf(
  entry: SettledEntry,
  { cause, alone }: { readonly cause: Cause; readonly alone: boolean },
): Past {
  const outside = cause.kind === "outside" && entry.begun;
  return {
    attempts: entry.attempt,
    aloneKills: entry.aloneKills + (alone ? 1 : 0),
    outsideEnds: entry.outsideEnds + (outside ? 1 : 0),
  };
}

const messages = {
  item_poison: "The item ended a worker process twice while it ran alone.",
  worker_lost: "The item's workers were lost as often as an item may be tried.",
} as const satisfies Partial<Record<ErrorCode, string>>;

function failureOf(
  past: Past,
  { alone, attemptsMax }: { readonly alone: boolean; readonly attemptsMax: number },
): keyof typeof messages | null {
  if (alone && past.aloneKills >= aloneKillsMax) return "item_poison";
  return past.attempts >= attemptsMax ? "worker_lost" : null;
}

function isBlamed(
  entry: SettledEntry,
  how: { readonly cause: Cause; readonly past: Past; readonly attemptsMax: number },
): boolean {
  if (!entry.begun || how.cause.kind === "stopped" || how.cause.kind === "load") return false;
  if (isFault(how.cause)) return true;
  return how.past.outsideEnds > 1 || entry.attempt === how.attemptsMax - 1;
}

/**
 * Halves, or smaller parts where halves would use up the attempts before everyone was alone twice: with n tries
 * left, the last two of them alone, a group may be halved n - 2 more times.
 */
function split(suspects: readonly SettledEntry[], attemptsMax: number): number[][] {
  const attempts = suspects.reduce((most, { attempt }) => Math.max(most, attempt), 0);
  const halvings = Math.max(0, attemptsMax - attempts - aloneKillsMax);
  const size = Math.max(1, Math.min(Math.ceil(suspects.length / 2), 2 ** halvings));
  const groups: number[][] = [];
  for (let from = 0; from < suspects.length; from += size) {
    groups.push(suspects.slice(from, from + size).map(({ itemId }) => itemId));
  }
  return groups;
}

/** How a process ended that we did not end ourselves. */
export type ProcessEnd =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  /** It could not be spawned, or not be ended. */
  | { readonly kind: "lost"; readonly reason: string };

/** Signals that the process raises by what it does itself; any other came from outside. */
const faultSignals: ReadonlySet<string> = new Set([
  "SIGSEGV",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGILL",
  "SIGTRAP",
  "SIGSYS",
]);

/** `wasMemoryKill` is asked only where the kernel may have killed for want of memory: it uses SIGKILL, as others do. */
export function causeOfEnd(end: ProcessEnd, wasMemoryKill: () => boolean): Fault {
  if (end.kind === "lost") return { kind: "crash", reason: end.reason };
  if (end.kind === "exited") return { kind: "crash", reason: `exited with code ${end.code}` };
  const { signal } = end;
  if (faultSignals.has(signal)) return { kind: "crash", reason: `crashed with ${signal}` };
  if (signal === "SIGKILL" && wasMemoryKill()) {
    return { kind: "memory", reason: "killed by the kernel, which was out of memory" };
  }
  return { kind: "outside", reason: `ended from outside with ${signal}` };
}
