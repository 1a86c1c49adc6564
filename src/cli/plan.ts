/** `millrace plan`: replays a recording, and says what other configurations would have done with it. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { MillraceError } from "millrace-client";
import { durationMs } from "../options/duration.js";
import type { RecordedLoad } from "../plan/recorded-load.js";
import { type PolicyName, policyNamed, policyNames } from "../scheduler/policy.js";
import { print } from "./print.js";

interface Flags {
  readonly pipelines?: readonly number[];
  readonly nodes?: readonly number[];
  readonly policy?: readonly PolicyName[];
  readonly load: readonly number[];
  readonly p99?: number;
  readonly arrivals?: "recorded" | "callers";
  readonly costs?: string;
  readonly json?: boolean;
}

const examples = `
The first line is the prediction of the very configuration that was recorded, beside what really happened: as far as these
agree, the rest can be believed. Runs take what they took when it was recorded, so record under the load that is meant.

Examples:
  $ millrace plan monday.jsonl.gz                           one, as many and twice the pipelines
  $ millrace plan monday.jsonl.gz --p99 0.5s                how many it takes for that
  $ millrace plan monday.jsonl.gz --load 1,2,4 --p99 500ms  and for twice and four times as much
  $ millrace plan monday.jsonl.gz --load 4 --nodes 1,2,4 --p99 0.5s   how many machines, of how many pipelines
  $ millrace plan monday.jsonl.gz --pipelines 1,2,4 --policy fcfs,millrace
  $ millrace plan monday.jsonl.gz --costs two-threads.jsonl.gz   with the times and threads of another recording
  $ millrace plan monday.jsonl.gz --json | jq .recorded.errors
`;

export function registerPlan(program: Command): void {
  program
    .command("plan")
    .summary("say what another configuration would do with a recorded load")
    .description(
      "Replay what `record` kept, with the server's own scheduler and on a virtual clock.",
    )
    .argument("<file>", "of `millrace record`")
    .option("--pipelines <list>", "how many to try, of each machine: 1,2,4", counts)
    .option("--nodes <list>", "so many machines like this one behind an edge: 1,2,4", nodeCounts)
    .option(
      "--policy <list>",
      `to try: ${policyNames.join(", ")}; else the recorded one`,
      policyList,
    )
    .addOption(
      new Option("--load <list>", "times as much as was recorded: 1,2")
        .argParser(factors)
        .default([1], "1"),
    )
    .option("--p99 <time>", "how many pipelines it takes for that: 500ms, 0.5s, 2s", latency)
    .addOption(
      new Option(
        "--arrivals <how>",
        "recorded: at their times; callers: each waits for the answer before; else as the recording looks",
      ).choices(["recorded", "callers"]),
    )
    .option(
      "--costs <file>",
      "another recording of the same models, whose times and threads are taken",
    )
    .option("--json", "as JSON, one line")
    .addHelpText("after", examples)
    .action((file: string, flags: Flags) => planAndTell(file, flags));
}

async function planAndTell(file: string, flags: Flags): Promise<void> {
  const { PlanProgress } = await import("./plan/progress.js");
  const { planText } = await import("./plan/text.js");
  const { plan } = await import("../plan/plan.js");
  using progress = new PlanProgress(process.stderr);
  const read = async (path: string): Promise<RecordedLoad> => {
    progress.reading(path);
    return await readLoad(path);
  };
  const load = await read(file);
  const planned = plan(load, {
    pipelines: flags.pipelines ?? null,
    nodes: flags.nodes ?? [1],
    isCut: flags.nodes === undefined ? () => false : await cutTasks(),
    policies: flags.policy ?? [],
    loadFactors: flags.load,
    p99Ms: flags.p99 ?? null,
    waits: flags.arrivals === undefined ? null : flags.arrivals === "callers",
    measured: flags.costs === undefined ? null : await read(flags.costs),
    onProgress: (replay, share) => progress.replaying(replay, share),
  });
  progress[Symbol.dispose]();
  print(flags, { ...planned, gaps: load.gaps }, () =>
    planText({ plan: planned, load, p99Ms: flags.p99 ?? null, costs: flags.costs ?? null }),
  );
}

/** @throws MillraceError `option_invalid` where there is nothing that could be replayed */
async function readLoad(file: string): Promise<RecordedLoad> {
  const { readRecording } = await import("../record/recording-file.js");
  const { recordedLoad } = await import("../plan/recorded-load.js");
  const { head, lines, isCut } = await readRecording(file);
  const fail = (why: string): MillraceError =>
    new MillraceError("option_invalid", `${file}: ${why}`);
  const { policy } = head.options;
  if (policyNamed(policy) === null)
    throw fail(`its server had the policy ${policy}, which this millrace does not know`);
  const load = recordedLoad(head, { lines, isCut });
  if (load.calls.length === 0)
    throw fail("no request came while it was recorded: record for longer");
  if (load.unmeasured.length > 0) {
    const models = load.unmeasured.join(", ");
    throw fail(
      `nothing was run of ${models} while it was recorded, so nothing is known of what that takes`,
    );
  }
  return load;
}

function listOf<Value>(value: string, read: (text: string) => Value | null, what: string): Value[] {
  return value.split(",").map((text) => {
    const one = read(text.trim());
    if (one === null) throw new InvalidArgumentError(what);
    return one;
  });
}

const pipelinesMax = 256;
const nodesMax = 64;

function counts(value: string): number[] {
  return countsUpTo(pipelinesMax, value);
}

function nodeCounts(value: string): number[] {
  return countsUpTo(nodesMax, value);
}

function countsUpTo(most: number, value: string): number[] {
  const read = (text: string): number | null => {
    const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
    return count >= 1 && count <= most ? count : null;
  };
  return listOf(value, read, `Not whole numbers from 1 to ${most} with commas between.`);
}

/** Of which an edge gives some inputs to each node. */
async function cutTasks(): Promise<(task: string) => boolean> {
  const { tasks } = await import("../tasks/table.js");
  return (task) => (tasks.get(task)?.inputFields ?? []).length > 0;
}

function factors(value: string): number[] {
  const read = (text: string): number | null => {
    const factor = /^\d{1,3}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
    return factor > 0 && factor <= 100 ? factor : null;
  };
  return listOf(value, read, "Not numbers up to 100 with commas between.");
}

function policyList(value: string): PolicyName[] {
  return listOf(value, policyNamed, `Only these: ${policyNames.join(", ")}.`);
}

/** `0.5s` too, as people say it; a bare number is seconds. */
function latency(value: string): number {
  const [, seconds] = /^(\d{1,6}(?:\.\d{1,3})?)s?$/.exec(value) ?? [];
  const ms = seconds === undefined ? durationMs(value) : Math.round(1_000 * Number(seconds));
  if (ms !== null && ms >= 1) return ms;
  throw new InvalidArgumentError("No time like 500ms or 0.5s.");
}
