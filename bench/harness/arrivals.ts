/** When requests arrive. An open loop keeps to this, whether or not those before were answered. */
import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../../test/sim/random.js";

/** Milliseconds after the start at which each of a Poisson process arrives within `ms`: the same for the same seed. */
export function byChance(of: {
  readonly perSecond: number;
  readonly ms: number;
  readonly seed: number;
}): readonly number[] {
  const random = new Random(of.seed);
  const duesMs: number[] = [];
  for (;;) {
    const dueMs = (duesMs.at(-1) ?? 0) + random.gap(1_000 / of.perSecond);
    if (dueMs > of.ms) return duesMs;
    duesMs.push(dueMs);
  }
}

/** One after the other, so many a second, until it is told to stop. */
export function* steadily(perSecond: number, stop: AbortSignal): Generator<number> {
  for (let sent = 0; !stop.aborted; sent += 1) yield (1_000 * sent) / perSecond;
}

/**
 * Calls `send` for each arrival at its time, without waiting for what comes of it; done when all of it is done.
 * `dueAtMs` is by performance.now(): who counts from it counts also what the sender was late by, so that a stall
 * delays everything that fell into it (no coordinated omission).
 */
export async function atTheirTimes(
  duesMs: Iterable<number>,
  send: (at: number, dueAtMs: number) => Promise<void>,
): Promise<void> {
  const startedAtMs = performance.now();
  const underWay = new Set<Promise<void>>();
  let at = 0;
  for (const dueMs of duesMs) {
    const dueAtMs = startedAtMs + dueMs;
    const early = dueAtMs - performance.now();
    // A timer takes a millisecond at least: those that arrive together leave together.
    if (early > 0) await delay(early);
    const sent = send(at, dueAtMs).finally(() => underWay.delete(sent));
    underWay.add(sent);
    at += 1;
  }
  await Promise.all(underWay);
}
