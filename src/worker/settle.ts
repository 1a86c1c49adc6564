/**
 * A pipeline ended with items in it: what becomes of each? Pure, so that every case can be tested.
 *
 *   cancelled ────────────────────────────────► dropped: nobody waits
 *   blamed ──┬─ was alone, for the second time ─► failed, item_poison
 *            ├─ tried attemptsMax times ────────► failed, worker_lost
 *            └─ else ───────────────────────────► a group of suspects that runs exclusively:
 *                                                 halves of those blamed, until each is alone
 *   not blamed ──┬─ tried attemptsMax times ────► failed, worker_lost
 *                └─ else ───────────────────────► innocent: queues again at its old place
 *
 * Blamed are the items that the child had begun, and only where the end is a fault: a kill from outside, or a stop
 * of our own, says nothing about them.
 */
import { type ErrorCode, MillraceError } from "millrace-client/wire";
import type { FailedItem } from "./events.js";
import type { LedgerEntry } from "./ledger.js";

/** Why a pipeline ended. `reason` is for people. */
export interface Cause {
  readonly kind: "crash" | "hang" | "protocol" | "outside" | "stopped";
  readonly reason: string;
}

export interface Verdict {
  readonly dropped: readonly number[];
  readonly innocent: readonly LedgerEntry[];
  readonly groups: readonly (readonly LedgerEntry[])[];
  readonly failed: readonly FailedItem[];
  /** The item that this end proves something about: it was the only one begun. */
  readonly alone: number | null;
}

/** How many ends while alone make an item the poison. */
export const aloneKillsMax = 2;

export interface SettleOptions {
  readonly attemptsMax: number;
}

export function settle(
  entries: readonly LedgerEntry[],
  cause: Cause,
  { attemptsMax }: SettleOptions,
): Verdict {
  const begun = isFault(cause) ? entries.filter((entry) => entry.begun) : [];
  const only = begun.length === 1 ? begun[0] : undefined;
  const blamed = new Set(begun);
  const failed: FailedItem[] = [];
  const suspects: LedgerEntry[] = [];
  const innocent: LedgerEntry[] = [];
  for (const entry of entries) {
    if (entry.cancelled) continue;
    const failure = failureOf(entry, { alone: entry === only, attemptsMax });
    if (failure !== null) {
      failed.push({
        itemId: entry.itemId,
        error: new MillraceError(failure, `${messages[failure]} (${cause.reason})`).toWire(),
      });
    } else if (blamed.has(entry)) suspects.push(entry);
    else innocent.push(entry);
  }
  return {
    dropped: entries.filter((entry) => entry.cancelled).map(({ itemId }) => itemId),
    innocent,
    groups: split(suspects, attemptsMax),
    failed,
    alone: only?.itemId ?? null,
  };
}

/** Whether the end says something about the items that were begun. */
export function isFault(cause: Cause): boolean {
  return cause.kind === "crash" || cause.kind === "hang" || cause.kind === "protocol";
}

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

/** What the end of a process means that we did not end ourselves. */
export function causeOfExit(code: number | null, signal: string | null): Cause {
  if (signal === null) return { kind: "crash", reason: `exited with code ${code ?? "unknown"}` };
  if (faultSignals.has(signal)) return { kind: "crash", reason: `crashed with ${signal}` };
  return { kind: "outside", reason: `ended from outside with ${signal}` };
}

const messages = {
  item_poison: "The item ended a worker process twice while it ran alone.",
  worker_lost: "The item's workers were lost as often as an item may be tried.",
} as const satisfies Partial<Record<ErrorCode, string>>;

function failureOf(
  entry: LedgerEntry,
  { alone, attemptsMax }: { readonly alone: boolean; readonly attemptsMax: number },
): keyof typeof messages | null {
  if (alone && entry.aloneKills + 1 >= aloneKillsMax) return "item_poison";
  return entry.attempt >= attemptsMax ? "worker_lost" : null;
}

/**
 * Halves, or smaller parts where halves would use up the attempts before everyone was alone twice: with n tries
 * left, the last two of them alone, a group may be halved n - 2 more times.
 */
function split(suspects: readonly LedgerEntry[], attemptsMax: number): LedgerEntry[][] {
  const attempts = suspects.reduce((most, { attempt }) => Math.max(most, attempt), 0);
  const halvings = Math.max(0, attemptsMax - attempts - aloneKillsMax);
  const size = Math.max(1, Math.min(Math.ceil(suspects.length / 2), 2 ** halvings));
  const groups: LedgerEntry[][] = [];
  for (let from = 0; from < suspects.length; from += size) {
    groups.push(suspects.slice(from, from + size));
  }
  return groups;
}
