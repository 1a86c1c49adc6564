/**
 * `millrace translate --durable`: a job of the file, followed into `--out`. The same command again goes on with the same job: its key
 * is made of the file and the settings, and `OUT.progress.json` knows the job when the server has forgotten the key.
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { type JobStatus, type Millrace, MillraceError } from "millrace-client";
import { z } from "zod";
import { type BulkFlags, unusable } from "../bulk/flags.js";
import { ProgressBar } from "../bulk/progress-bar.js";
import { summaryText } from "../bulk/summary.js";
import { assertWritable } from "../bulk/text-output.js";
import { openServerOnly } from "../bulk/workplace.js";
import { tell } from "../print.js";
import { jobInputs } from "./inputs.js";
import { jobNow } from "./job-now.js";
import { fetchResults } from "./results-file.js";
import { exitOfJob, hasJobEnded, jobErrors } from "./view.js";

export interface DurableFlags extends BulkFlags {
  readonly datafile?: string;
  readonly beams?: number;
  readonly nBest?: number;
  readonly json?: boolean;
  readonly restart?: boolean;
}

const command = "translate --durable";

export async function translateDurably(flags: DurableFlags, signal: AbortSignal): Promise<number> {
  const { datafile, out, restart = false } = flags;
  if (datafile === undefined || datafile === "-" || out === undefined) {
    const message = "--durable needs a file as --datafile, and --out";
    throw new MillraceError("option_invalid", message);
  }
  if (flags.class !== undefined) {
    throw new MillraceError("option_invalid", "--class: durable work is bulk");
  }
  await assertWritable(out, datafile);
  const startedMs = performance.now();
  const format = flags.json === true ? "jsonl" : "text";
  const settings = settingsOf(flags);
  const key = await keyOfWork(datafile, JSON.stringify([flags.model ?? null, settings]), signal);
  await using client = await openServerOnly(flags, "--durable", signal);
  const known = restart ? null : await knownJob(out, key);
  const asked = { datafile, key: restart ? randomUUID() : key };
  const job =
    known === null
      ? await submit(client, { ...asked, flags, settings }, signal)
      : await jobNow(client, known, signal);
  const { id, lines } = job;
  if (!hasJobEnded(job)) {
    const whose = known === null ? "" : " of the run before";
    tell(`job ${id}${whose}; Ctrl-C leaves it running\n`);
  }
  const { kept, rows, failed } = await fetchResults(client, id, {
    out,
    format,
    identity: { command, arguments: { key, job: id, format } },
    restart,
    wait: true,
    signal,
    jsonOf: ({ line, ...result }) => ({ line: line + 1, ...result }),
    barOf: (before) => {
      const bar = new ProgressBar(flags, { unit: "texts", before });
      bar.total(lines);
      return bar;
    },
  });
  const ended = await jobNow(client, id, signal);
  tell(jobErrors(ended));
  const elapsedMs = performance.now() - startedMs;
  const counts = { total: rows - kept, failed, requests: 1, pipelines: {} };
  const facts = { ...counts, elapsedMs, unit: "sentence", kept, skipped: null };
  tell(summaryText(facts, flags.jsonSummary === true));
  if (rows < lines) {
    tell(`job ${id} ended as ${ended.state}; --restart makes another one\n`);
  }
  return exitOfJob(ended);
}

interface Submission {
  readonly datafile: string;
  readonly key: string;
  readonly flags: DurableFlags;
  readonly settings: Readonly<Record<string, number>>;
}

async function submit(
  client: Millrace,
  { datafile, key, flags, settings }: Submission,
  signal: AbortSignal,
): Promise<JobStatus> {
  const from = { path: datafile, isJson: false, flag: "--datafile" };
  const inputs = await jobInputs(from, signal);
  const { model } = flags;
  const named = model === undefined ? {} : { model };
  const asked = { task: "translate", ...named, settings, requestKey: key, signal };
  return await client.jobs.submit(inputs, asked);
}

function settingsOf({ beams, nBest }: DurableFlags): Readonly<Record<string, number>> {
  return {
    ...(beams === undefined ? {} : { beams }),
    ...(nBest === undefined ? {} : { nBest }),
  };
}

async function keyOfWork(path: string, settings: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256").update(`${settings}\n`);
  try {
    for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer);
  } catch (error) {
    signal.throwIfAborted();
    throw unusable("--datafile", path, error);
  }
  return `translate-${hash.digest("hex")}`;
}

const begunJob = z.object({
  command: z.literal(command),
  arguments: z.object({ key: z.string(), job: z.string() }),
});

/** The job that the file was begun with; null where it was begun with other work, which is refused when it is opened, or not at all. */
async function knownJob(out: string, key: string): Promise<string | null> {
  const text = await readFile(`${out}.progress.json`, "utf8").catch(() => "null");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const begun = begunJob.safeParse(value);
  return begun.success && begun.data.arguments.key === key ? begun.data.arguments.job : null;
}
