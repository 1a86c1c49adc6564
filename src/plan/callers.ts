/**
 * Whether callers waited for their answers: then each request came because another one had ended, and comes when that one ends in the replay.
 * Replayed at its recorded time instead, it would queue behind a server that is a little slower than the real one was, and each a little longer
 * than the one before it.
 *
 *   caller ── request ─► answer ─gap─► request ─► answer ─gap─► …      a chain
 */
import { dispersionOf } from "./dispersion.js";
import type { RecordedCall } from "./recorded-load.js";

export interface Link {
  readonly call: RecordedCall;
  /** After the answer to the one before; of the first: after the beginning. */
  readonly gapMs: number;
}

export interface Callers {
  /** One for each caller. */
  readonly chains: readonly (readonly Link[])[];
  /** Requests that came just after an answer to the same tenant, of all but each caller's first. */
  readonly linkedShare: number;
  /** How many would have by chance. */
  readonly chance: number;
  /** Of the number of open requests: 1 or more by chance. */
  readonly dispersion: number;
  readonly isLikely: boolean;
}

/** A caller who does nothing else has his next request there within this time. */
const gapMsMax = 20;
/** Chance is reckoned for so many times the usual gap: nearly all are shorter. */
const gapsMany = 3;
const linkedShareMin = 0.9;
/** A busy server answers all the time: there nearly all come just after an answer anyhow, and what tells is how many are open at a time. */
const chanceMax = 0.6;
const dispersionMax = 0.6;

interface Ended {
  readonly endMs: number;
  readonly chain: Link[];
}

export function callersOf(calls: readonly RecordedCall[], lengthMs: number): Callers {
  const chains: Link[][] = [];
  /** By tenant, in the order of their ends. */
  const ended = new Map<string, Ended[]>();
  const running: Ended[] = [];
  const gaps: number[] = [];
  for (const call of calls) {
    running.sort((a, b) => a.endMs - b.endMs);
    while (running[0] !== undefined && running[0].endMs <= call.atMs) {
      const first = running.shift();
      if (first === undefined) break;
      const tenant = first.chain[0]?.call.tenant ?? "";
      ended.set(tenant, [...(ended.get(tenant) ?? []), first]);
    }
    const free = ended.get(call.tenant) ?? [];
    // Who has just had an answer; else whoever has had none for the longest, after a rest.
    const before = free.find(({ endMs }) => call.atMs - endMs <= gapMsMax) ?? free[0];
    ended.set(
      call.tenant,
      free.filter((each) => each !== before),
    );
    const gapMs = before === undefined ? call.atMs : call.atMs - before.endMs;
    const chain = before?.chain ?? [];
    if (before === undefined) chains.push(chain);
    else if (gapMs <= gapMsMax) gaps.push(gapMs);
    chain.push({ call, gapMs });
    if (call.endMs !== null) running.push({ endMs: call.endMs, chain });
  }
  const usualMs = gaps.toSorted((a, b) => a - b)[gaps.length >> 1] ?? gapMsMax;
  const perMs = calls.length / Math.max(1, lengthMs);
  const chance = 1 - Math.exp(-perMs * gapsMany * usualMs);
  const linkedShare = gaps.length / Math.max(1, calls.length - chains.length);
  const dispersion = dispersionOf(calls, lengthMs);
  const isTold = chance <= chanceMax || dispersion <= dispersionMax;
  // Each came back once at the least, on an average: of a few requests nothing can be said.
  const isLikely = isTold && linkedShare >= linkedShareMin && gaps.length >= chains.length;
  return { chains, linkedShare, chance, dispersion, isLikely };
}

/** So many times the callers: of a half, each second one. What a further one sends is what the one next to it does. */
export function timesCallers(
  chains: readonly (readonly Link[])[],
  factor: number,
): readonly (readonly Link[])[] {
  const wanted = Math.max(1, Math.round(chains.length * factor));
  return Array.from({ length: wanted }, (_, at) => {
    const turn = Math.floor(at / chains.length);
    const chain = chains[at % chains.length] ?? [];
    // Two who send the same at the same time would share each run.
    const from = Math.floor((chain.length * turn) / (turn + 1));
    const [first] = chain;
    const rotated = [...chain.slice(from), ...chain.slice(0, from)];
    return rotated.map((link, nth) => (nth === 0 ? { ...link, gapMs: first?.gapMs ?? 0 } : link));
  });
}
