/**
 * A child of benchmarks: a whole server, asked inside its own process, past every protocol. Its argument is a `ServerSpec`; it is asked
 * `Turn`s and answers with `TurnResult`s. It says where it listens, for those who ask it over HTTP.
 */
import { readFileSync } from "node:fs";
import { type CreateServerOptions, createServer } from "#src/index.js";
import { answerLines } from "./line-process.js";
import type { Turn, TurnResult } from "./turn.js";

export interface ServerSpec {
  readonly options: CreateServerOptions;
  /** JSON: the ids of each sentence. */
  readonly idsFile: string;
}

export interface ServerReady {
  readonly url: string;
  /** Processes that its pipelines run in. */
  readonly pipelines: readonly number[];
}

const { options, idsFile } = JSON.parse(process.argv[2] ?? "{}") as ServerSpec;
const sentences = JSON.parse(readFileSync(idsFile, "utf8")) as (readonly number[])[];
const server = await createServer({ port: 0, logLevel: "silent", ...options });
const never = new AbortController().signal;
let requests = 0;

process.once("SIGTERM", () => void end());

const pids = server.views.status().pipelines.flatMap(({ pid }) => (pid === null ? [] : [pid]));
await answerLines({ url: server.url, pipelines: pids }, async (asked) => {
  return await translate(asked as Turn);
});
// Whoever asked is gone, and hears nothing more.
await end();

async function end(): Promise<void> {
  await server.close();
  process.exit(0);
}

async function translate({ mode, beams, count }: Turn): Promise<TurnResult> {
  const chosen = sentences.slice(0, count);
  const before = decodeSteps();
  const startedAtMs = performance.now();
  const outputs: Output[] = [];
  const groups = mode === "one" ? chosen.map((sentence) => [sentence]) : [chosen];
  for (const tokenIds of groups) outputs.push(...(await ask({ tokenIds, beams })));
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const after = decodeSteps();
  return {
    seconds,
    sentences: outputs.length,
    tokens: outputs.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
    outputs: outputs.map(({ text }) => text),
    steps: { runs: after.runs - before.runs, rows: after.rows - before.rows, whileMore: null },
  };
}

interface Output {
  readonly text: string;
  readonly outputTokens: number;
}

async function ask(fields: {
  readonly tokenIds: readonly (readonly number[])[];
  readonly beams: number;
}): Promise<Output[]> {
  requests += 1;
  const outputs: Output[] = [];
  const request = {
    id: String(requests),
    task: "translate",
    model: null,
    fields: { ...fields },
    class: null,
    tenant: "bench",
    deadlineAtMs: null,
    payloadBytes: 0,
  };
  await server.submit.submit(request, never, {
    onOutcome: ({ index, outcome }) => {
      if ("error" in outcome) throw new Error(outcome.error.message);
      outputs[index] = outcome.value.values as unknown as Output;
    },
  });
  return outputs;
}

function decodeSteps(): { readonly runs: number; readonly rows: number } {
  const stages = server.views.status().stages.filter(({ stage }) => stage === "decode");
  return {
    runs: stages.reduce((sum, { runs }) => sum + runs, 0),
    rows: stages.reduce((sum, { rows }) => sum + rows, 0),
  };
}
