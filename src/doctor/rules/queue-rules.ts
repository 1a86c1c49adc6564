/** Work waits: who has the queue, who is refused, and what it lacks. */
import { apiDefaults } from "millrace-client/wire";
import type { Draft, Rule } from "../draft.js";
import { type Figures, shareOf } from "../figures.js";
import {
  capacityEvidence,
  doneNow,
  eachMore,
  moreCapacity,
  neededFactor,
} from "../more-pipelines.js";
import {
  areBusy,
  isQueueGrowing,
  isRealtimeLate,
  isWaiting,
  realtimeTargetMs,
} from "../pressure.js";
import { bytes, count, ms, oneLine, percent, perSecond, round } from "../words.js";

export const queueRules: readonly Rule[] = [
  policyUnfair,
  largeRealtime,
  bulkStarves,
  tenantHoldsQueue,
  queueFull,
  queueGrows,
  pipelinesBusy,
];

function meanMs(
  { classes }: Figures,
  workClass: "realtime" | "bulk",
  of: "queueMs" | "totalMs",
): number {
  const { finished, ...sums } = classes[workClass];
  return finished === 0 ? 0 : sums[of] / finished;
}

function realtimeWaits(figures: Figures): string {
  const { finished, oldestWaitMs, queuedItems } = figures.classes.realtime;
  const now = `${count(queuedItems, "item")} wait now, the oldest for ${ms(oldestWaitMs)}; the target is ${ms(realtimeTargetMs(figures))}`;
  if (finished === 0) return `no realtime request was done; ${now}`;
  const waitedMs = meanMs(figures, "realtime", "queueMs");
  return `${count(finished, "realtime request")} waited ${ms(waitedMs)} on the mean; ${now}`;
}

function hasBulk({ classes }: Figures): boolean {
  return classes.bulk.queuedShare > 0 || classes.bulk.finished > 0;
}

function policyUnfair(figures: Figures): readonly Draft[] {
  const { after, classes } = figures;
  if (after.policy === "millrace" || after.policy === "nodes") return [];
  if (!isRealtimeLate(figures) || !hasBulk(figures)) return [];
  return [
    {
      code: "policy-unfair",
      severity: "problem",
      title: `Realtime work waits behind bulk: the policy is ${oneLine(after.policy)}.`,
      evidence: [realtimeWaits(figures), `${count(classes.bulk.queuedItems, "bulk item")} queued`],
      change: "--policy millrace (the default)",
      expect: `Realtime waits for the run that is under way, and no longer for ${count(classes.bulk.queuedItems, "bulk item")}.`,
    },
  ];
}

/** Open requests of a class: the mean number of their items; 0 of none. */
function itemsOfRequest({ after }: Figures, workClass: "realtime" | "bulk"): number {
  const its = (after.tenants ?? []).filter((each) => each.class === workClass);
  const requests = its.reduce((sum, each) => sum + each.requests, 0);
  return requests === 0 ? 0 : its.reduce((sum, each) => sum + each.items, 0) / requests;
}

function largeRealtime(figures: Figures): readonly Draft[] {
  const items = itemsOfRequest(figures, "realtime");
  const threshold = figures.after.limits?.bulkThreshold ?? apiDefaults.bulkThreshold;
  if (!isRealtimeLate(figures) || items < threshold) return [];
  return [
    {
      code: "large-realtime",
      severity: "problem",
      title: "Large requests are marked realtime, and wait for each other.",
      evidence: [
        `open realtime requests have ${round(items)} items on the mean; unmarked ones are bulk from ${threshold} on`,
        `${count(figures.classes.bulk.finished, "bulk request")} in the same time`,
        realtimeWaits(figures),
      ],
      change:
        'Leave `class` out of these requests, or send `"class": "bulk"`; a key with `--classes bulk` holds a caller to it.',
      expect: `Small requests pass them, and wait less than ${ms(realtimeTargetMs(figures))}; the large ones take about as long as now.`,
    },
  ];
}

function bulkStarves(figures: Figures): readonly Draft[] {
  const { classes, windowMs, samples, items } = figures;
  const { bulk, realtime } = classes;
  const first = samples[0]?.classes.bulk.queuedItems ?? 0;
  const movedItems = Math.max(0, first - bulk.queuedItems);
  const stoodStill = movedItems <= 0.05 * items.done && bulk.oldestWaitMs >= 0.9 * windowMs;
  if (!areBusy(figures) || bulk.queuedShare < 0.8 || bulk.finished > 0 || !stoodStill) return [];
  if (realtime.finished === 0 || samples.length < 3) return [];
  return [
    {
      code: "bulk-starves",
      severity: "problem",
      title: "Bulk work hardly moves: realtime fills the pipelines.",
      evidence: [
        `${count(bulk.queuedItems, "bulk item")} wait, the oldest for ${ms(bulk.oldestWaitMs)}; ${movedItems} fewer than at the beginning`,
        `${count(realtime.finished, "realtime request")} ended meanwhile (${perSecond(realtime.finished, windowMs, "requests")}), and no bulk one`,
        capacityEvidence(figures),
      ],
      change: `Mark as realtime only what a person waits for; else ${moreCapacity(figures, 1.25)}. A smaller --age-limit-ms lets bulk through sooner.`,
      expect: `What is older than --age-limit-ms is no longer passed by all realtime; with a tenth of the pipelines' time free bulk moves at once.`,
    },
  ];
}

const tenantShareMin = 0.7;

function tenantHoldsQueue(figures: Figures): readonly Draft[] {
  const { after, refusals } = figures;
  return (["realtime", "bulk"] as const).flatMap((workClass): Draft[] => {
    const all = (after.tenants ?? []).filter((each) => each.class === workClass);
    const items = all.reduce((sum, each) => sum + each.items, 0);
    const [most, ...others] = all.toSorted((a, b) => b.items - a.items);
    const share = shareOf(most?.items ?? 0, items);
    if (most === undefined || others.length === 0 || share < tenantShareMin) return [];
    const refused = refusals["queue_full"] ?? 0;
    const waitMs = Math.max(...others.map(({ oldestMs }) => oldestMs));
    const isLate = workClass === "realtime" && isRealtimeLate(figures);
    if (!isWaiting(figures, workClass) || !(isLate || refused > 0)) return [];
    return [
      {
        code: "tenant-holds-queue",
        severity: "problem",
        title: `The tenant ${oneLine(most.tenant)} holds most of the queue.`,
        evidence: [
          `${percent(share)} of the ${workClass} items that have not ended: ${most.items} of ${items}, in ${count(most.requests, "request")}`,
          `${count(others.length, "other tenant")} ${others.length === 1 ? "waits" : "wait"}, for ${ms(waitMs)} at most; ${count(refused, "request")} refused with queue_full`,
        ],
        change: `Hold it to its share: a key of its own with a rate (\`millrace keys add NAME --keys FILE --tenant ${/^[\w.-]+$/.test(most.tenant) ? most.tenant : "TENANT"} --classes bulk --rate ${round(rateFor(figures))}\`), or ask its owner for fewer requests in flight.`,
        expect: `Room for the others: ${percent(share)} of what is queued now.`,
      },
    ];
  });
}

/** Half of what is done, in items a second. */
function rateFor({ items, windowMs }: Figures): number {
  return Math.max(1, Math.floor((items.done * 500) / windowMs));
}

const bytesShareMax = 0.8;

function queueFull(figures: Figures): readonly Draft[] {
  const { after, refusals, classes, windowMs } = figures;
  const refused = refusals["queue_full"] ?? 0;
  const { limits, process: own } = after;
  const bodies = shareOf(own.bodiesBytes, limits?.bodiesBytesMax ?? 0);
  if (refused === 0 && bodies < bytesShareMax) return [];
  const queued = classes.realtime.queuedItems + classes.bulk.queuedItems;
  const factor = Math.max(1.25, neededFactor(figures));
  return [
    {
      code: "queue-full",
      severity: "problem",
      title: "Requests are refused because the queue is full.",
      evidence: [
        `${count(refused, "request")} refused with queue_full in ${ms(windowMs)}`,
        `${count(queued, "item")} queued of ${limits?.queuedItemsMax ?? "unknown"}, ${bytes(own.queuedBytes)} of ${limits === undefined ? "unknown" : bytes(limits.queuedBytesMax)}; bodies being read ${bytes(own.bodiesBytes)}`,
        capacityEvidence(figures),
      ],
      change: areBusy(figures)
        ? `${inFlightAdvice(figures)}${moreCapacity(figures, factor)}. A larger --queued-items-max lets more wait, and makes nothing faster.`
        : "The limits are smaller than what callers send at once: a larger --queued-items-max, --queued-bytes-max or --bodies-bytes-max, or smaller requests.",
      expect: areBusy(figures)
        ? eachMore(figures)
        : `${count(refused, "request")} in ${ms(windowMs)} are no longer refused.`,
    },
  ];
}

function inFlightAdvice({ models }: Figures): string {
  const recommended = models.find((each) => each.work.runs > 0)?.recommended ?? null;
  if (recommended === null) return "";
  return `From all callers together ${recommended.requestsInFlight} requests of ${recommended.batchItems} inputs keep all pipelines full; `;
}

function queueGrows(figures: Figures): readonly Draft[] {
  if (!isQueueGrowing(figures) || figures.pipelines.length === 0) return [];
  const { halves, windowMs, items, classes } = figures;
  const queued = classes.realtime.queuedItems + classes.bulk.queuedItems;
  const grown = halves.reduce((sum, { grownItems }) => sum + grownItems, 0);
  const rate = (items.done + items.failed) / windowMs;
  const factor = neededFactor(figures);
  const waits =
    rate > 0 ? `at this pace the last of them waits ${ms(queued / rate)}` : "and none was done";
  const limit = figures.after.limits?.queuedItemsMax ?? 0;
  const fullIn =
    limit > queued && grown > 0
      ? `; the queue is full in ${ms(((limit - queued) * windowMs) / grown)}`
      : "";
  return [
    {
      code: "queue-grows",
      severity: "problem",
      title: "More work arrives than is done.",
      evidence: [
        `${perSecond(items.accepted, windowMs, "items")} arrived, ${perSecond(items.done + items.failed, windowMs, "items")} ended`,
        `the queue grew by ${grown} to ${queued} items, in both halves of ${ms(windowMs)}: ${waits}${fullIn}`,
        capacityEvidence(figures),
      ],
      change: areBusy(figures)
        ? moreCapacity(figures, factor)
        : "Pipelines have room: see what else is found, and why they wait.",
      expect: doneNow(figures, factor),
    },
  ];
}

function pipelinesBusy(figures: Figures): readonly Draft[] {
  if (!areBusy(figures) || !isRealtimeLate(figures) || isQueueGrowing(figures)) return [];
  const targetMs = realtimeTargetMs(figures);
  const waitedMs = Math.max(meanMs(figures, "realtime", "queueMs"), targetMs);
  const computeMs = Math.max(1, meanMs(figures, "realtime", "totalMs") - waitedMs);
  // Callers wait for replies before they send more: what they wait now, through what they should.
  const factor = Math.max(1.25, (waitedMs + computeMs) / (targetMs + computeMs));
  return [
    {
      code: "pipelines-busy",
      severity: "problem",
      title: "All pipelines are busy, and realtime work waits for them.",
      evidence: [realtimeWaits(figures), capacityEvidence(figures)],
      change: moreCapacity(figures, factor),
      expect: `Realtime waits for about ${ms(targetMs)}; ${doneNow(figures, factor)}, if as many callers go on.`,
    },
  ];
}
