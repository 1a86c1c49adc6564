/**
 * READ FIRST of this folder. What `plan` prints: the prediction of what was recorded, a table of what else was asked, the answer, and on
 * what all of it rests. progress.ts is the line of a terminal meanwhile.
 */
import { type WorkClass, workClasses } from "millrace-client/wire";
import type { CallFigures } from "../../plan/figures.js";
import type { Plan, PlanRow } from "../../plan/plan.js";
import type { RecordedLoad } from "../../plan/recorded-load.js";
import { textTable } from "../status.js";

export interface PlanTextParts {
  readonly plan: Plan;
  readonly load: RecordedLoad;
  readonly p99Ms: number | null;
  /** The other recording, whose times are taken. */
  readonly costs: string | null;
}

export function planText(parts: PlanTextParts): string {
  const { plan, load } = parts;
  return [
    ...predictionLines(plan, load),
    "",
    ...table(plan),
    ...answerLines(parts),
    ...assumptions(parts),
    "",
  ].join("\n");
}

function predictionLines({ recorded }: Plan, { head }: RecordedLoad): readonly string[] {
  const { predicted, actual, errors } = recorded;
  const what = `recorded: ${head.options.policy}, ${countOf(predicted.pipelines, "pipeline")} of ${countOf(head.machine.threads, "thread")}`;
  return workClasses.flatMap((workClass) => {
    const [real, own, error] = [
      actual[workClass],
      predicted.replayed.classes[workClass],
      errors[workClass],
    ];
    if (real === undefined || own === undefined || error === undefined) return [];
    const p50 = `p50 ${inMs(own.p50Ms)} predicted, ${inMs(real.p50Ms)} real (${apart(error.p50)})`;
    const p99 = `p99 ${inMs(own.p99Ms)} predicted, ${inMs(real.p99Ms)} real (${apart(error.p99)})`;
    return [`${what}: ${workClass} ${p50}, ${p99}, of ${real.answered} requests`];
  });
}

function table({ rows }: Plan): readonly string[] {
  const classes = workClasses.filter((each) =>
    rows.some(({ replayed }) => replayed.classes[each] !== undefined),
  );
  const hasNodes = rows.some(({ nodes }) => nodes > 1);
  const head = [
    "policy",
    ...(hasNodes ? ["nodes"] : []),
    "pipelines",
    "load",
    ...classes.flatMap((each) => [`${each} p50`, "p99", "items/s"]),
    "refused",
    "busy",
    "",
  ];
  return textTable(
    head,
    rows.map((row) => cells(row, { classes, hasNodes })),
  );
}

function cells(
  row: PlanRow,
  { classes, hasNodes }: { readonly classes: readonly WorkClass[]; readonly hasNodes: boolean },
): readonly string[] {
  const { policy, nodes, pipelines, loadFactor, replayed, fallsBehind } = row;
  const refused = Object.values(replayed.refused).reduce((sum, count) => sum + count, 0);
  return [
    policy,
    ...(hasNodes ? [String(nodes)] : []),
    String(pipelines),
    `${loadFactor}×`,
    ...classes.flatMap((each) => figureCells(replayed.classes[each])),
    String(refused),
    `${Math.round(100 * replayed.busyShare)}%`,
    fallsBehind ? "falls behind: the longer it lasts, the longer are the waits" : "",
  ];
}

function figureCells(figures: CallFigures | undefined): readonly string[] {
  if (figures === undefined) return ["", "", ""];
  return [inMs(figures.p50Ms), inMs(figures.p99Ms), figures.itemsPerSecond.toFixed(1)];
}

function answerLines({ plan, p99Ms }: PlanTextParts): readonly string[] {
  if (p99Ms === null) return [];
  return plan.answers.map(({ policy, loadFactor, enough }) => {
    const asked = `p99 within ${inMs(p99Ms)} at ${loadFactor}× the load with ${policy}`;
    if (enough === null) {
      const isOneTried = plan.rows.every(({ nodes }) => nodes === 1);
      return `${asked}: none of those that were tried${isOneTried ? "; --nodes 2,4 tries more machines" : ""}`;
    }
    const { nodes, pipelines } = enough;
    const each = `${countOf(pipelines, "pipeline")} of ${countOf(plan.threads, "thread")}`;
    return `${asked}: ${nodes === 1 ? each : `${nodes} nodes, each with ${each}`}`;
  });
}

function assumptions({ plan, load, costs }: PlanTextParts): readonly string[] {
  const { callers, waits, threads } = plan;
  const { gaps, head } = load;
  const percent = Math.round(100 * callers.linkedShare);
  const byChance = Math.round(100 * callers.chance);
  const how = waits
    ? `each of ${callers.count} callers waits for the answer before; twice the load is twice the callers`
    : "requests come at their recorded times, whatever became of the others; twice the load comes in half the time";
  const lines = [
    `arrivals: ${how} (${percent}% came just after an answer, ${byChance}% would by chance; the number of open requests varies ${callers.dispersion.toFixed(1)} times as much as by chance; --arrivals says it otherwise)`,
    `times of runs: as ${costs ?? "recorded"}, ${countOf(threads, "thread")} each; other numbers of threads are not guessed, record one`,
    `pipelines that want more than the ${head.machine.cores} cores of the machine take turns on them; memory and caches that they share are not reckoned`,
    "preparing takes what it took; the network and the front are not in it",
  ];
  if (plan.rows.some(({ nodes }) => nodes > 1))
    lines.push(
      "nodes are machines like the recorded one behind one edge, which chooses as a real one does; each is slow as that was, at other moments",
    );
  if (load.models.some(({ engine }) => engine === "staged"))
    lines.push("a model of several stages: each item takes what its items took on an average");
  if (load.isCut) lines.push("the file ends before the recording did: what is there was replayed");
  const counted: readonly (readonly [number, string])[] = [
    [gaps.openBefore, "requests were there before it began, and are not in it"],
    [gaps.linesLeftOut, "lines were left out when it was recorded"],
    [gaps.pipelinesLost, "pipelines ended while it was recorded; here none does"],
    [gaps.badRequests, "requests were refused for what they were, and are left out"],
    [
      gaps.guessed,
      "requests were refused for want of room: each is replayed as one of those that were let in",
    ],
    [gaps.unknownModels, "requests were for models that came later, and are left out"],
  ];
  for (const [count, what] of counted) if (count > 0) lines.push(`${count} ${what}`);
  return ["", ...lines.map((line) => `- ${line}`)];
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function inMs(ms: number): string {
  return ms < 10_000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

function apart(ratio: number): string {
  const percent = Math.round(100 * (ratio - 1));
  return `${percent > 0 ? "+" : ""}${percent}%`;
}
