/**
 * READ FIRST of this folder: one file for each thing that can be the matter. A rule reads figures, and drafts what it finds; a code of its
 * own stands in ../finding-table.ts, and its list in ../doctor.ts. Here: the server as a whole, its state, its own event loop, its memory,
 * its connections, who it is linked to.
 */
import type { Draft, Rule } from "../draft.js";
import { type Figures, median, shareOf } from "../figures.js";
import { bytes, count, ms, percent, round } from "../words.js";

export const serverRules: readonly Rule[] = [
  draining,
  natsAway,
  notReady,
  serverRestarted,
  frontLate,
  memoryShort,
  connectionsFull,
  readersSlow,
];

function draining({ after }: Figures): readonly Draft[] {
  if (after.state !== "draining") return [];
  const { active } = after.requests;
  return [
    {
      code: "draining",
      severity: "notice",
      title: "The server is stopping and takes no new work.",
      evidence: [
        `state draining after ${ms(after.uptimeMs)}, ${count(active, "request")} still under way`,
      ],
      change: "Send new work to another server; start this one again where that was not meant.",
      expect: "What is under way is finished, within --drain-ms.",
    },
  ];
}

function natsAway({ nats, after }: Figures): readonly Draft[] {
  if (nats === null || nats === "connected") return [];
  if (nats === "connecting" && after.state === "starting") return [];
  return [
    {
      code: "nats-away",
      severity: "problem",
      title: "NATS cannot be reached.",
      evidence: [`the link is ${nats}`, `this server is ${after.state}`],
      change: "Start nats-server, or correct --nats; `millrace nodes` says when it is there.",
      expect: "Other nodes and the jobs kept in NATS are reached again, without a restart.",
    },
  ];
}

/** Where others say why, this is left out: see `doctor.ts`. */
function notReady({ after }: Figures): readonly Draft[] {
  if (after.state !== "not-ready") return [];
  const up = after.pipelines.filter(({ state }) => state === "ready" || state === "suspect");
  return [
    {
      code: "not-ready",
      severity: "problem",
      title: "The server serves nothing.",
      evidence: [`${up.length} of ${count(after.pipelines.length, "pipeline")} ready`],
      change: "Read the reasons in `curl SERVER/ready`, and the log.",
      expect: "Requests are no longer refused with not_ready.",
    },
  ];
}

function serverRestarted({ isRestarted, windowMs }: Figures): readonly Draft[] {
  if (!isRestarted) return [];
  return [
    {
      code: "server-restarted",
      severity: "notice",
      title: "The server was started anew while it was looked at.",
      evidence: [`all figures are of the ${ms(windowMs)} since then`],
      change: "Where nobody meant it, read how the log of the run before ends.",
      expect: "A second look shows the whole time.",
    },
  ];
}

const loopShareMin = 0.8;
/** More than the longest pauses of a healthy one, where collecting garbage takes some tens of milliseconds. */
const loopDelayMsMin = 100;
const startedMs = 30_000;
/** It has no room then, late or not. */
const loopShareFull = 0.95;
/** A machine that is short of cores gives it less than one. */
const cpuShareMin = 0.6;
/** Of the pipelines' time: else it is they who are waited for. */
const busyShareMax = 0.4;

function frontLate(figures: Figures): readonly Draft[] {
  const { after, samples, loopShare, cpuShare, busyShare, windowMs, finished } = figures;
  const delayMs = median(samples.map((each) => each.eventLoopDelayP99Ms));
  // An older server tells how late it is, and not how busy.
  const share = loopShare ?? (delayMs >= 2 * loopDelayMsMin ? 1 : 0);
  // That figure reaches some seconds back: into the start, which is no load.
  const isLate = share >= loopShareMin && delayMs >= loopDelayMsMin && after.uptimeMs >= startedMs;
  const isAtWork = (cpuShare ?? 0) >= cpuShareMin || delayMs >= loopDelayMsMin;
  const isFull = share >= loopShareFull && isAtWork && busyShare < busyShareMax;
  if (!(isLate || isFull) || finished.finished === 0) return [];
  const told = [
    ...(loopShare === null
      ? []
      : [`the event loop worked ${percent(loopShare)} of ${ms(windowMs)}`]),
    ...(cpuShare === null ? [] : [`the process used ${count(cpuShare, "core")}`]),
  ];
  return [
    {
      code: "front-late",
      severity: "problem",
      title: "The server's own process is the bottleneck: its event loop is busy and late.",
      evidence: [
        ...told,
        `its timers were ${ms(delayMs)} late (p99)`,
        `pipelines computed ${percent(busyShare)} of the time`,
        `bodies ${bytes(after.process.bodiesBytes)}, replies ${bytes(after.process.repliesBytes)} in memory`,
      ],
      change:
        "Put edges before it, on other cores or machines (`millrace serve --nats URL --role edge`); send fewer and smaller bodies (pictures as files, tensors and vectors as bytes and not as JSON).",
      expect: `Each edge takes its share of what this process does now: with one, about ${percent(share / 2)} of a core here.`,
    },
  ];
}

const availableShareMin = 0.05;

function memoryShort({ after }: Figures): readonly Draft[] {
  const { machine, pipelines, process: own, limits } = after;
  if (machine === undefined || machine.memoryBytes <= 0) return [];
  const { memoryBytes, availableMemoryBytes } = machine;
  if (shareOf(availableMemoryBytes, memoryBytes) >= availableShareMin) return [];
  const sum = (of: (one: (typeof pipelines)[number]) => number): number =>
    pipelines.reduce((total, one) => total + of(one), 0);
  const inPipelines = sum((one) => one.memoryBytes);
  const fewer = Math.max(1, pipelines.length - 1);
  const models = limits === undefined ? [] : [`models may take ${bytes(limits.modelMemoryBytes)}`];
  return [
    {
      code: "memory-short",
      severity: "problem",
      title: "The memory is nearly used up.",
      evidence: [
        `${bytes(availableMemoryBytes)} of ${bytes(memoryBytes)} are left`,
        `${count(pipelines.length, "pipeline")} ${bytes(inPipelines)}, ${bytes(sum((one) => one.cacheBytes))} of it for what runs; the server itself ${bytes(own.rssBytes)}, queued ${bytes(own.queuedBytes)}`,
        ...models,
      ],
      change: `--pipelines ${fewer}, a smaller --rows-max or --model-memory-bytes; or a machine (or container limit) with more.`,
      expect: `About ${bytes(inPipelines / Math.max(1, pipelines.length))} for each pipeline less; nothing is killed for memory.`,
    },
  ];
}

const connectionShareMax = 0.9;

function connectionsFull({ after, refusals, samples }: Figures): readonly Draft[] {
  const refused = refusals["too_many_connections"] ?? 0;
  const most = after.limits?.connectionsMax ?? 0;
  const { connections } = after.process;
  if (refused === 0 && shareOf(connections, most) < connectionShareMax) return [];
  const wanted = Math.max(most * 2, connections + refused);
  return [
    {
      code: "connections-full",
      severity: "problem",
      title: "The server has nearly as many connections as it may.",
      evidence: [
        `${connections} connections of ${most || "unknown"} that may be`,
        `${refused} refused with too_many_connections`,
        `${round(samples.at(-1)?.requests.active ?? 0)} requests on them`,
      ],
      change: `Let clients keep and share connections (one \`Millrace\` client a process); else --connections-max ${wanted}.`,
      expect: "Nobody is refused for want of a connection.",
    },
  ];
}

function readersSlow({ after }: Figures): readonly Draft[] {
  const most = after.limits?.repliesBytesMax ?? 0;
  const { repliesBytes } = after.process;
  if (shareOf(repliesBytes, most) < 0.5) return [];
  return [
    {
      code: "readers-slow",
      severity: "problem",
      title: "Callers do not read their replies.",
      evidence: [`${bytes(repliesBytes)} of replies wait, of ${bytes(most)} that may`],
      change:
        "Let callers read as results come, or ask for less at once; else a larger --replies-bytes-max.",
      expect:
        "Beyond the limit those who have waited longest are disconnected; below it nobody is.",
    },
  ];
}
