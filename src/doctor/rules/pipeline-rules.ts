/** What runs is slower than it need be: a node, a pipeline, too many threads, empty batches, padding. */
import type { NodeStatus } from "millrace-client/wire";
import type { Draft, Rule } from "../draft.js";
import { type Figures, mean, median, shareOf } from "../figures.js";
import type { ModelFigures } from "../model-figures.js";
import type { PipelineFigures } from "../pipeline-figures.js";
import { areBusy, isWaiting } from "../pressure.js";
import { untoldRowsMax } from "../untold-options.js";
import { count, ms, oneLine, percent, round, times } from "../words.js";

export const pipelineRules: readonly Rule[] = [
  nodeSilent,
  nodeSlow,
  pipelineSlow,
  coresOvercommitted,
  pipelinesSplit,
  batchesSmall,
  paddingHeavy,
];

const silentMs = 3_000;

function nodeSilent({ nodes, nats }: Figures): readonly Draft[] {
  // Without NATS nobody is heard of, and that is another finding.
  if (nats !== "connected") return [];
  return nodes
    .filter(({ ageMs }) => ageMs > silentMs)
    .map(
      (node): Draft => ({
        code: "node-silent",
        severity: "problem",
        title: `The node ${oneLine(node.node)} is not heard of any more.`,
        evidence: [
          `it spoke ${ms(node.ageMs)} ago, as every node does each second`,
          `${count(node.sentItems, "item")} of this server are there`,
        ],
        change: `Look whether ${oneLine(node.node)} runs and reaches NATS.`,
        expect: `${count(node.pipelines, "pipeline")} more.`,
      }),
    );
}

const nodeFactorMin = 3;
const nodeWaitMsMin = 100;

function longestWaitMs({ waitMs }: NodeStatus): number {
  return Math.max(waitMs.realtime, waitMs.bulk);
}

function nodeSlow({ nodes, nodesBefore }: Figures): readonly Draft[] {
  const working = nodes.filter(
    ({ role, draining, ageMs, pipelines }) =>
      role !== "edge" && !draining && ageMs <= silentMs && pipelines > 0,
  );
  return working.flatMap((node): Draft[] => {
    const others = working.filter(({ instance }) => instance !== node.instance);
    if (others.length === 0) return [];
    const usualMs = median(others.map(longestWaitMs));
    const waitMs = longestWaitMs(node);
    const was = nodesBefore.get(node.instance);
    const wasSlow = was === undefined || longestWaitMs(was) > usualMs;
    const isSlow = waitMs >= nodeWaitMsMin && waitMs >= nodeFactorMin * Math.max(1, usualMs);
    if (!isSlow || !wasSlow) return [];
    return [
      {
        code: "node-slow",
        severity: "problem",
        title: `The node ${oneLine(node.node)} is slower than the others.`,
        evidence: [
          `it lets an item wait ${ms(waitMs)}, the others ${ms(usualMs)}`,
          `${count(node.sentItems, "item")} of this server are there, with ${count(node.pipelines, "pipeline")}`,
        ],
        change: `\`millrace doctor URL\` with the address of ${oneLine(node.node)} says what it lacks; take it out (stop it) until that is mended.`,
        expect: `What waits there waits ${ms(usualMs)} elsewhere.`,
      },
    ];
  });
}

const slowFactorMin = 2;
/** Of the window, so that a run or two do not speak for a pipeline. */
const slowShareMin = 0.1;
const slowRunsMin = 5;

/** A model's unit, padding included, in a pipeline that ran enough of it; null: it did not. */
function unitMs({ work }: PipelineFigures, model: string, windowMs: number): number | null {
  const its = work.find((each) => each.model === model);
  if (its === undefined || its.runs < slowRunsMin || its.ms < slowShareMin * windowMs) return null;
  const units = Math.max(its.units, its.paddedUnits);
  return units > 0 ? its.ms / units : null;
}

function pipelineSlow(figures: Figures): readonly Draft[] {
  const { models, pipelines, windowMs } = figures;
  const slow = models.flatMap(({ model }) => {
    const known = pipelines.flatMap((pipeline) => {
      const each = unitMs(pipeline, model, windowMs);
      return each === null ? [] : [{ pipeline, unitMs: each }];
    });
    return known.flatMap((one) => {
      const others = known.filter(({ pipeline }) => pipeline !== one.pipeline);
      const usual = median(others.map((each) => each.unitMs));
      const isSlow = others.length > 0 && one.unitMs >= slowFactorMin * usual;
      return isSlow ? [slowDraft(figures, { ...one, model, usual })] : [];
    });
  });
  return [...slow, ...pipelines.flatMap(overdue)];
}

interface SlowPipeline {
  readonly pipeline: PipelineFigures;
  readonly model: string;
  /** Milliseconds of a unit, its own and the others'. */
  readonly unitMs: number;
  readonly usual: number;
}

function slowDraft(
  { after }: Figures,
  { pipeline, model, unitMs: its, usual }: SlowPipeline,
): Draft {
  const { pipelineId, busyShare } = pipeline;
  const pid = after.pipelines.find((each) => each.pipelineId === pipelineId)?.pid;
  const factor = its / usual;
  return {
    code: "pipeline-slow",
    severity: "problem",
    title: `The pipeline ${oneLine(pipelineId)} is slower than the others.`,
    evidence: [
      `for the same of ${oneLine(model)} it takes ${times(factor)} as long as the others: ${round(its * 1_000)} µs a unit, they ${round(usual * 1_000)} µs`,
      `it computed ${percent(busyShare)} of the time`,
    ],
    change: `See what else has its core (\`top -p ${pid ?? "PID"}\`, limits of its group, a core of another kind); \`kill ${pid ?? "PID"}\` starts it anew without loss.`,
    expect: `${times(factor)} as much from this pipeline.`,
  };
}

/** A run that goes on for much longer than it foresaw. */
function overdue({ pipelineId, state, doing }: PipelineFigures): readonly Draft[] {
  if (state !== "suspect" || doing === null) return [];
  return [
    {
      code: "pipeline-slow",
      severity: "problem",
      title: `A run of the pipeline ${oneLine(pipelineId)} takes far longer than foreseen.`,
      evidence: [
        `${oneLine(doing.model)} ${oneLine(doing.stage)}, ${count(doing.rows, "row")} of ${round(doing.width)}: ${ms(doing.forMs)} by now, foreseen were ${ms(doing.predictedMs)}`,
      ],
      change:
        "See what else has its core; a run that never ends is ended after --run-ms-max, and its items run elsewhere.",
      expect: "One pipeline more at work.",
    },
  ];
}

function coresOvercommitted(figures: Figures): readonly Draft[] {
  const { after, pipelines, busyShare, occupiedShare } = figures;
  if (after.machine === undefined || !areBusy(figures)) return [];
  const { cores, threads } = after.machine;
  const wanted = pipelines.length * threads;
  if (wanted <= cores || cores <= 0) return [];
  const fewer = Math.max(1, Math.floor(cores / threads));
  const rest = Math.max(1, Math.floor(cores / fewer));
  return [
    {
      code: "cores-overcommitted",
      severity: "problem",
      title: "There are more threads than cores.",
      evidence: [
        `${count(pipelines.length, "pipeline")} of ${count(threads, "thread")} on ${count(cores, "core")}`,
        `they had work in ${percent(Math.max(busyShare, occupiedShare))} of the time`,
      ],
      change: `--pipelines ${fewer} --threads ${Math.min(threads, rest)}, or neither flag and --trial auto, which measures what is fastest.`,
      expect: `Runs that are not interrupted: up to ${times(wanted / cores)} as fast each, at about as many items/s.`,
    },
  ];
}

function pipelinesSplit(figures: Figures): readonly Draft[] {
  const { pipelines, classes } = figures;
  return (["realtime", "bulk"] as const).flatMap((waiting): Draft[] => {
    const idle = pipelines.filter(
      ({ kind, occupiedShare, busyShare }) =>
        kind !== waiting && kind !== "shared" && Math.max(occupiedShare, busyShare) < 0.3,
    );
    const full = pipelines.filter(({ kind }) => kind === waiting);
    const load = mean(full.map(({ occupiedShare }) => occupiedShare));
    if (idle.length === 0 || full.length === 0 || load < 0.8 || !isWaiting(figures, waiting))
      return [];
    const factor = pipelines.length / full.length;
    return [
      {
        code: "pipelines-split",
        severity: "problem",
        title: `Pipelines idle that may not help with ${waiting} work.`,
        evidence: [
          `${count(idle.length, `pipeline`)} of the other class had work in ${percent(mean(idle.map(({ occupiedShare }) => occupiedShare)))} of the looks`,
          `${count(classes[waiting].queuedItems, `${waiting} item`)} wait, the oldest for ${ms(classes[waiting].oldestWaitMs)}`,
        ],
        change: `--pipelines ${pipelines.length} in the place of --realtime-pipelines and --bulk-pipelines: realtime goes first on all of them.`,
        expect: `Up to ${times(factor)} as many ${waiting} items/s.`,
      },
    ];
  });
}

const fillShareMax = 0.25;

function batchesSmall(figures: Figures): readonly Draft[] {
  if (!areBusy(figures)) return [];
  return figures.models.flatMap((model) => smallFor(figures, model));
}

function smallFor(figures: Figures, model: ModelFigures): readonly Draft[] {
  const { after, windowMs } = figures;
  const { work, recommended, queuedItems } = model;
  if (recommended === null || work.runs < slowRunsMin) return [];
  const rows = work.rows / work.runs;
  const rowsMax = after.limits?.rowsMax ?? Infinity;
  const isCapped = rowsMax < untoldRowsMax && rows >= 0.5 * rowsMax && queuedItems >= 4 * rowsMax;
  const isSparse =
    recommended.batchItems >= 4 &&
    rows <= fillShareMax * recommended.batchItems &&
    queuedItems >= recommended.batchItems;
  if (!isCapped && !isSparse) return [];
  const recent = after.batches.recent.filter(
    (batch) => batch.model === model.model && batch.agoMs <= windowMs,
  );
  const items = mean(recent.map((batch) => batch.items));
  const why = isCapped
    ? `--rows-max is ${rowsMax}: nothing wider may run`
    : "what waits cannot share a run: inputs of different shapes, or with different settings, never do";
  const runMs = work.ms / work.runs;
  return [
    {
      code: "batches-small",
      severity: "problem",
      title: `Runs of ${oneLine(model.model)} are nearly empty, while items wait.`,
      evidence: [
        `${round(rows)} rows a run of ${ms(runMs)}; ${recommended.batchItems} items fill a pipeline`,
        `${count(queuedItems, "item")} wait`,
        ...(recent.length === 0
          ? []
          : [`the last ${recent.length} batches had ${round(items)} items on the mean`]),
        why,
      ],
      change: isCapped
        ? `--rows-max ${untoldRowsMax}`
        : "Send inputs of one shape together: pad or crop them to a few sizes, and use few different settings.",
      expect: isCapped
        ? `Up to ${round(untoldRowsMax / rows)} times as many rows a run, for less than that much more time.`
        : `Up to ${round(recommended.batchItems / Math.max(1, rows))} times as many rows a run, for less than that much more time.`,
    },
  ];
}

const paddingShareMin = 0.4;

function paddingHeavy(figures: Figures): readonly Draft[] {
  const { models, windowMs, pipelines } = figures;
  return models.flatMap(({ model, work, queuedItems, recommended }): Draft[] => {
    const padding = shareOf(work.paddedUnits - work.units, work.paddedUnits);
    const share = shareOf(work.ms, windowMs * Math.max(1, pipelines.length));
    if (padding < paddingShareMin || share < 0.2 || work.runs < slowRunsMin) return [];
    const many =
      recommended === null
        ? ""
        : `, ${recommended.requestsInFlight} requests of ${recommended.batchItems} inputs from all callers`;
    return [
      {
        code: "padding-heavy",
        severity: areBusy(figures) ? "problem" : "notice",
        title: `Much of what ${oneLine(model)} computes is padding.`,
        evidence: [
          `${percent(padding)} of ${round(work.paddedUnits)} units were padding, over ${count(work.runs, "run")}`,
          `${oneLine(model)} took ${percent(share)} of the pipelines' time; ${count(queuedItems, "item")} to choose neighbours from at the end`,
        ],
        change: `Put inputs of like length into one request, and have more of them in flight${many}: neighbours in length run together.`,
        expect: `Up to ${round(1 / (1 - Math.min(0.95, padding)))} times as many items/s of it.`,
      },
    ];
  });
}
