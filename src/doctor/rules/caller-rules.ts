/** What callers could do better: how much they send at once, what they ask for, how long they give. */
import { type ErrorCode, workClasses } from "millrace-client/wire";
import type { Draft, Rule } from "../draft.js";
import { type Figures, shareOf } from "../figures.js";
import { capacityEvidence } from "../more-pipelines.js";
import { areBusy, busyShareMin } from "../pressure.js";
import { grownBy } from "../window.js";
import { count, ms, oneLine, percent, perSecond, round } from "../words.js";

export const callerRules: readonly Rule[] = [
  deadlinesShort,
  callersLeave,
  rateLimited,
  prepareSlow,
  oneAtATime,
  requestsWrong,
];

const tooSoon = ["deadline_too_soon", "deadline_exceeded"] as const;

function deadlinesShort(figures: Figures): readonly Draft[] {
  const { refusals, failures, finished, classes } = figures;
  const refused = tooSoon.reduce((sum, code) => sum + (refusals[code] ?? 0), 0);
  const items = failures["deadline_exceeded"] ?? 0;
  const late = refused + items;
  if (late === 0 || late < 0.01 * (finished.finished + refused)) return [];
  const meanMs = finished.totalMs / Math.max(1, finished.finished);
  const percentiles = workClasses
    .filter((each) => classes[each].p99Ms > 0)
    .map((each) => `${each} p50 ${ms(classes[each].p50Ms)}, p99 ${ms(classes[each].p99Ms)}`);
  const longMs = Math.max(classes.realtime.p99Ms, classes.bulk.p99Ms, meanMs);
  return [
    {
      code: "deadlines-short",
      severity: "problem",
      title: "Callers give less time than their work takes.",
      evidence: [
        `${count(refusals["deadline_too_soon"] ?? 0, "request")} refused with deadline_too_soon, ${count(items, "item")} ended with deadline_exceeded`,
        `${count(finished.finished, "request")} ended, after ${ms(meanMs)} on the mean, those that were cut off among them`,
        ...percentiles,
        capacityEvidence(figures),
      ],
      change: `A \`timeoutMs\` of ${Math.ceil(2 * longMs)} or more${areBusy(figures) ? ", fewer requests in flight, or more pipelines" : ""}.`,
      expect: `${count(late, "piece")} of work in the same time are done and not thrown away, as far as pipelines keep up.`,
    },
  ];
}

const leftMin = 5;
/** Whoever ends a load, or closes a page, leaves a few. */
const leftShareMin = 0.3;

function callersLeave(figures: Figures): readonly Draft[] {
  const { before, after, finished, classes, items } = figures;
  const left = grownBy(before.requests.cancelled, after.requests.cancelled);
  const share = shareOf(left, left + finished.finished);
  if (left < leftMin || share < leftShareMin) return [];
  const thrownAway = grownBy(before.items.cancelled, after.items.cancelled);
  const longMs = Math.max(classes.realtime.p99Ms, classes.bulk.p99Ms);
  const known = longMs > 0 ? `${Math.ceil(2 * longMs)} ms or more` : "what their work takes";
  return [
    {
      code: "callers-leave",
      severity: "problem",
      title: "Callers leave before they have their results.",
      evidence: [
        `${count(left, "request")} were left (${percent(share)}), ${count(finished.finished, "request")} ended`,
        `${count(thrownAway, "item")} were thrown away, ${count(items.done, "item")} done`,
        capacityEvidence(figures),
      ],
      change: `A time limit of the caller's, or of a proxy between, of ${known}${areBusy(figures) ? "; fewer requests in flight, or more pipelines" : ""}. With \`timeoutMs\` in the request what cannot be done in time is refused at once.`,
      expect: `${count(left, "request")} in the same time get what was computed for them, as far as pipelines keep up.`,
    },
  ];
}

const limited = ["rate_limited", "quota_exceeded"] as const;

function rateLimited({ refusals, finished, windowMs }: Figures): readonly Draft[] {
  const refused = limited.reduce((sum, code) => sum + (refusals[code] ?? 0), 0);
  if (refused === 0) return [];
  const share = shareOf(refused, refused + finished.finished);
  return [
    {
      code: "rate-limited",
      // A limit that holds somebody back once in a while does what it is there for.
      severity: share >= 0.05 ? "problem" : "notice",
      title: "Keys are held to their rates and quotas.",
      evidence: [
        ...limited
          .filter((code) => (refusals[code] ?? 0) > 0)
          .map(
            (code) =>
              `${count(refusals[code] ?? 0, "request")} refused with ${code} in ${ms(windowMs)}`,
          ),
        `${count(finished.finished, "request")} ended in the same time: ${percent(share)} of all were refused`,
      ],
      change:
        "Let the caller wait for `Retry-After`, as our clients do, and put more inputs into a request; else raise `ratePerSecond`, `burst` or `quotaPerMonth` of its key in the file of --keys.",
      expect: `${perSecond(refused, windowMs, "requests")} more are let in.`,
    },
  ];
}

const prepareShareMin = 0.5;
const prepareMsMin = 20;

function prepareSlow(figures: Figures): readonly Draft[] {
  const { finished, busyShare, loopShare, cpuShare, windowMs } = figures;
  const known = finished.prepareMs + finished.queueMs + finished.computeMs;
  const share = shareOf(finished.prepareMs, known);
  const meanMs = finished.prepareMs / Math.max(1, finished.finished);
  if (finished.finished < 3 || share < prepareShareMin || meanMs < prepareMsMin) return [];
  if (busyShare >= busyShareMin) return [];
  const told = [
    ...(loopShare === null ? [] : [`the event loop worked ${percent(loopShare)} of the time`]),
    ...(cpuShare === null ? [] : [`the server's process used ${round(cpuShare)} cores`]),
  ];
  return [
    {
      code: "prepare-slow",
      severity: "problem",
      title: "Reading the inputs takes longer than computing: pipelines wait for text or pictures.",
      evidence: [
        `${percent(share)} of the time of ${count(finished.finished, "request")} went to preparing, ${ms(meanMs)} each; ${percent(shareOf(finished.queueMs, known))} to waiting, ${percent(shareOf(finished.computeMs, known))} to computing`,
        `pipelines computed ${percent(busyShare)} of ${ms(windowMs)}`,
        ...told,
      ],
      change:
        "Send smaller inputs (token ids in the place of text, pictures no larger than the model sees, requests of a page and not of a book), and spread callers over several servers (`--nats`): each prepares for itself.",
      expect: `Up to ${round(1 / Math.max(0.05, 1 - share))} times as fast a request, and pipelines that work the other ${percent(1 - busyShare)} of the time.`,
    },
  ];
}

const requestsMin = 10;
const aloneShareMin = 0.95;

function oneAtATime(figures: Figures): readonly Draft[] {
  const { aloneShare, finished, items, windowMs, models, busyShare, pipelines } = figures;
  // Somebody who asks once in a while is alone as well.
  const openShare = finished.totalMs / windowMs;
  const isOne = aloneShare !== null && aloneShare >= aloneShareMin && openShare >= 0.5;
  if (!isOne || finished.finished < requestsMin) return [];
  const used = models.toSorted((a, b) => b.work.runs - a.work.runs)[0];
  const recommended = used?.recommended ?? null;
  const itemsEach = items.done / finished.finished;
  if (used === undefined || recommended === null || itemsEach > recommended.batchItems / 4)
    return [];
  const rows = used.work.rows / Math.max(1, used.work.runs);
  return [
    {
      code: "one-at-a-time",
      severity: "notice",
      title: "A caller sends one small request at a time, and waits for each.",
      evidence: [
        `${percent(aloneShare)} of the requests had no other beside them, and one was under way ${percent(Math.min(1, openShare))} of the time; ${count(finished.finished, "request")} of ${count(itemsEach, "item")}, ${ms(finished.totalMs / finished.finished)} each`,
        `${count(pipelines.length, "pipeline")} computed ${percent(busyShare)} of the time, with ${round(rows)} rows a run`,
      ],
      change: `Up to ${recommended.requestsInFlight} requests in flight of up to ${recommended.batchItems} inputs each, as /status recommends for ${oneLine(used.model)}: the client's methods that end in \`Each\` do so, and every command that reads a file.`,
      expect: `At least ${round(pipelines.length / Math.max(busyShare * pipelines.length, 0.05))} times as many items/s from the time that pipelines idle now, and more from fuller runs.`,
    },
  ];
}

const wrongMin = 5;
/** What is nobody's fault but the caller's. */
const callersOwn: readonly ErrorCode[] = [
  "bad_request",
  "bad_encoding",
  "body_too_large",
  "too_many_items",
  "input_empty",
  "input_too_long",
  "tensor_invalid",
  "image_invalid",
  "token_out_of_range",
  "unsupported_media_type",
  "headers_too_large",
  "not_found",
  "method_not_allowed",
  "model_not_found",
  "unauthenticated",
  "forbidden",
  "deployment_mismatch",
];

function requestsWrong({
  refusals,
  failures,
  finished,
  items,
  windowMs,
}: Figures): readonly Draft[] {
  const refused = sumOf(callersOwnIn(refusals));
  const failed = sumOf(callersOwnIn(failures));
  const areRefused = refused >= wrongMin && refused >= 0.1 * (refused + finished.finished);
  const areFailed = failed >= wrongMin && failed >= 0.1 * (items.done + items.failed);
  if (!areRefused && !areFailed) return [];
  const told = (of: Readonly<Record<string, number>>): string =>
    callersOwnIn(of)
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, 4)
      .map(([code, its]) => `${code} ${its}`)
      .join(", ");
  const refusedShare = percent(shareOf(refused, refused + finished.finished));
  const failedShare = percent(shareOf(failed, items.done + items.failed));
  return [
    {
      code: "requests-wrong",
      severity: "notice",
      title: "Much is refused for what callers sent.",
      evidence: [
        ...(areRefused
          ? [`${count(refused, "request")} in ${ms(windowMs)}: ${told(refusals)}`]
          : []),
        ...(areFailed ? [`${count(failed, "item")} in ${ms(windowMs)}: ${told(failures)}`] : []),
        `${count(finished.finished, "request")} ended, ${count(items.done, "item")} done`,
      ],
      change:
        "Correct what the message of the error names; docs/errors.md says what to do for each code.",
      expect: areRefused
        ? `${refusedShare} of the requests are answered, and no longer refused.`
        : `${failedShare} of the items have a result.`,
    },
  ];
}

function callersOwnIn(
  counts: Readonly<Record<string, number>>,
): readonly (readonly [string, number])[] {
  return Object.entries(counts).filter(([code]) =>
    (callersOwn as readonly string[]).includes(code),
  );
}

function sumOf(counts: readonly (readonly [string, number])[]): number {
  return counts.reduce((sum, [, its]) => sum + its, 0);
}
