/** `millrace jobs submit`: a file or standard input becomes a job; its id goes to standard output. */
import { type Command, InvalidArgumentError } from "commander";
import { type JobSubmitOptions, MillraceError } from "millrace-client";
import { wholeNumber } from "../bulk/flags.js";
import { exitCodes } from "../exit-codes.js";
import { printJson, printText } from "../print.js";
import { runRemote } from "../remote.js";
import { addJobFlags, type JobFlags, jobsClient } from "./flags.js";
import { jobInputs } from "./inputs.js";
import { watchToEnd } from "./watch.js";

type Pairs = Readonly<Record<string, unknown>>;
type Texts = Readonly<Record<string, string>>;

interface Flags extends JobFlags {
  readonly task: string;
  readonly datafile?: string;
  readonly jsonl?: boolean;
  readonly model?: string;
  readonly tenant?: string;
  readonly set?: Pairs;
  readonly metadata?: Texts;
  readonly timeoutMs?: number;
  readonly callback?: string;
  readonly idempotencyKey?: string;
  readonly watch?: boolean;
  readonly progress: boolean;
}

const examples = `
Examples:
  $ millrace jobs submit --task translate --datafile big.txt --set beams=4
  $ millrace jobs submit --task translate --datafile requests.jsonl      a text or a request's fields in each line
  $ zcat big.txt.gz | millrace jobs submit --task translate --model en-zh
  $ millrace jobs submit --task translate --datafile big.txt --idempotency-key monday --watch
`;

export function registerSubmit(jobs: Command): void {
  const command = jobs
    .command("submit")
    .summary("make a job of a file or of standard input, and print its id")
    .description(
      "Make a job of the lines of a file or of standard input, and print its id when all of it is on the server's disk.",
    )
    .requiredOption("--task <name>", "what is done with each line, as in the routes: /v1/TASK")
    .option("--datafile <file>", "one text a line, .jsonl: one input as JSON; else stdin")
    .option("--jsonl", "the lines are JSON, whatever the file is called")
    .option("--model <name>", "needed only where several are served")
    .option("--tenant <name>", "whose share it counts to")
    .option("--set <name=value>", "a setting of the task, as beams=4; again for more", setting)
    .option("--metadata <name=text>", "comes back with the job; again for more", metadata)
    .option("--timeout-ms <ms>", "what is not done then is left", wholeNumber)
    .option("--callback <url>", "told by the server when it has ended")
    .option("--idempotency-key <key>", "the same again, within a day, gives the same job")
    .option("--watch", "stay until it has ended")
    .option("--no-progress", "no progress bar")
    .addHelpText("after", examples);
  addJobFlags(command, "the job as JSON instead of its id").action((flags: Flags) =>
    runRemote((signal) => submit(flags, signal)),
  );
}

async function submit(flags: Flags, signal: AbortSignal): Promise<number> {
  const { datafile = null, jsonl } = flags;
  const isJson = jsonl ?? datafile?.endsWith(".jsonl") ?? false;
  const inputs = await jobInputs({ path: datafile, isJson, flag: "--datafile" }, signal);
  await using client = jobsClient(flags);
  const job = await client.jobs.submit(inputs, { ...optionsOf(flags), signal });
  const isWatched = flags.watch === true;
  if (flags.json !== true) printText(`${job.id}\n`);
  else if (!isWatched) printJson(job);
  if (!isWatched) return exitCodes.ok;
  return await watchToEnd(client, job.id, { flags, signal });
}

function optionsOf(flags: Flags): JobSubmitOptions {
  const { task, model, tenant, set, metadata: pairs, timeoutMs, callback, idempotencyKey } = flags;
  return {
    task,
    ...(model === undefined ? {} : { model }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(set === undefined ? {} : { settings: set }),
    ...(pairs === undefined ? {} : { metadata: pairs }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(callback === undefined ? {} : { callback }),
    ...(idempotencyKey === undefined ? {} : { requestKey: visible(idempotencyKey) }),
  };
}

function visible(key: string): string {
  if (/^[!-~]{1,255}$/.test(key)) return key;
  const message = "--idempotency-key: 1 to 255 visible ASCII characters";
  throw new MillraceError("option_invalid", message);
}

/** What JSON reads as a number, a list and so on is one; anything else is a text. */
function setting(value: string, before: Pairs = {}): Pairs {
  const [name, text] = pairOf(value);
  return { ...before, [name]: valueOf(text) };
}

function metadata(value: string, before: Texts = {}): Texts {
  const [name, text] = pairOf(value);
  return { ...before, [name]: text };
}

function pairOf(value: string): readonly [name: string, text: string] {
  const at = value.indexOf("=");
  if (at > 0) return [value.slice(0, at), value.slice(at + 1)];
  throw new InvalidArgumentError("Not a name, = and a value.");
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
