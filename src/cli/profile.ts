/** `millrace profile`: what a thread of a running server does, as a drawing and as files of profilers. */
import { randomUUID } from "node:crypto";
import { access, constants, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { Millrace, MillraceError } from "millrace-client";
import {
  type ProfiledGraph,
  type ProfileResponse,
  profileFrameKinds,
  profileSecondsDefault,
  profileSecondsMax,
} from "millrace-client/wire";
import { percent } from "../doctor/words.js";
import { makeFolders } from "../platform/make-folders.js";
import { cpuProfileOf } from "../profile/cpuprofile.js";
import { drawFlame, kindNames } from "../profile/flame.js";
import { frontName } from "../profile/profiles.js";
import { speedscopeOf } from "../profile/speedscope.js";
import { framesOf, type ProfileSummary, summaryOf } from "../profile/summary.js";
import { messageOf } from "../work/thrown.js";
import { exitCodes } from "./exit-codes.js";
import { draw, printJson, printText } from "./print.js";
import { addServerFlags, flagsWith, keyOf, runRemote, type ServerFlags } from "./remote.js";
import { textTable } from "./status.js";

const formats = {
  svg: { suffix: ".svg", open: "in a browser: a frame's title says what it took" },
  speedscope: { suffix: ".speedscope.json", open: "at https://www.speedscope.app" },
  cpuprofile: { suffix: ".cpuprofile", open: "in the developer tools of Chrome, or in VS Code" },
} as const;
type Format = keyof typeof formats;
const formatNames = Object.keys(formats) as Format[];

interface Flags extends ServerFlags {
  readonly seconds: number;
  readonly pipeline: string;
  readonly operators?: boolean;
  readonly out: string;
  readonly format?: Format;
  readonly json?: boolean;
}

const examples = `
Without --format it writes the drawing and the file for speedscope. Ctrl-C ends it before, with what was seen so far.
The profile shows functions and files of Millrace, never what callers sent.

Examples:
  $ millrace profile                                    ten seconds of the server's own thread
  $ millrace profile --pipeline shared-1 --seconds 30   what a pipeline does
  $ millrace profile --pipeline shared-1 --operators    and what ONNX Runtime does in its runs
  $ millrace profile http://10.0.0.7:8400 --out /tmp/profiles
  $ millrace profile --format cpuprofile --out front.cpuprofile
  $ millrace profile --json | jq .functions
`;

export function registerProfile(program: Command): void {
  const command = program
    .command("profile")
    .summary("see which functions of a running server take the time")
    .description("Sample a thread of a running server, and draw where its time goes.")
    .argument("[server]", "its address, else --url");
  addServerFlags(command)
    .option("--seconds <n>", `from 1 to ${profileSecondsMax}`, seconds, profileSecondsDefault)
    .option("--pipeline <name>", "a pipeline, as `status` names it, or front", frontName)
    .option("--operators", "of a pipeline: the operators that ONNX Runtime runs, too")
    .option("--out <path>", "a folder, or with --format a file", ".")
    .addOption(new Option("--format <name>", "only this one").choices(formatNames))
    .option("--json", "the summary as JSON")
    .addHelpText("after", examples)
    .action((url: string | undefined, flags: Flags, called: Command) => {
      const asked = flagsWith(url, flags, called);
      return runRemote((signal) => profile(asked, signal));
    });
}

async function profile(flags: Flags, signal: AbortSignal): Promise<number> {
  const files = await filesOf(flags);
  signal.throwIfAborted();
  await using client = new Millrace(flags.url, { retry: { attemptsMax: 1 }, ...keyOf(flags) });
  const taken = await takeUntil(client, flags, signal);
  const failure = await writeFiles(taken, files);
  const summary = summaryOf(taken);
  const written = failure === null ? files : [];
  if (flags.json === true) {
    const { nodes: _, ...told } = taken;
    printJson({ ...told, ...summary, files: written });
  } else printText(view(taken, summary, written));
  if (failure !== null) throw failure;
  return exitCodes.ok;
}

/** What was seen until the signal, where that comes before the end. */
async function takeUntil(
  client: Millrace,
  flags: Flags,
  signal: AbortSignal,
): Promise<ProfileResponse> {
  const answered = new AbortController();
  const id = randomUUID();
  const onAborted = (): void => void endUntil(client, { id, signal: answered.signal });
  signal.addEventListener("abort", onAborted, { once: true });
  const stopTelling = tellProgress(flags);
  try {
    const { pipeline: of, seconds: asSeconds, operators = false } = flags;
    return await client.profile({ of, seconds: asSeconds, operators, id });
  } finally {
    answered.abort();
    signal.removeEventListener("abort", onAborted);
    stopTelling();
  }
}

const endAgainMs = 50;

/** The request may not have arrived yet, and then there is nothing to end. */
async function endUntil(
  client: Millrace,
  own: { readonly id: string; readonly signal: AbortSignal },
): Promise<void> {
  try {
    while (!(await client.endProfile(own)))
      await sleep(endAgainMs, undefined, { signal: own.signal });
  } catch {
    // It was answered; or it cannot be ended, and the answer says why.
  }
}

function tellProgress({ pipeline, seconds: wanted }: Flags): () => void {
  if (!process.stderr.isTTY) return () => {};
  const startedAtMs = performance.now();
  const drawPassed = (): void => {
    const passed = Math.min(wanted, Math.round((performance.now() - startedAtMs) / 1_000));
    draw(`\r${pipeline}: ${passed} of ${wanted} s, Ctrl-C ends it`);
  };
  drawPassed();
  const timer = setInterval(drawPassed, 1_000);
  return () => {
    clearInterval(timer);
    draw("\r\u001b[K");
  };
}

interface ProfileFile {
  readonly format: Format;
  readonly file: string;
}

/** Before the profile is taken: who cannot write need not wait for it. What is there is written over. Throws `option_invalid`. */
async function filesOf({ format, out, pipeline }: Flags): Promise<readonly ProfileFile[]> {
  const isFolder = await stat(out).then(
    (found) => found.isDirectory(),
    () => format === undefined || !out.endsWith(formats[format].suffix),
  );
  const wanted: readonly Format[] = format === undefined ? ["svg", "speedscope"] : [format];
  const name = `millrace-${pipeline.replaceAll(/[^\w-]/g, "_")}`;
  const dir = isFolder ? out : dirname(out);
  const files = wanted.map((one) => {
    const file = isFolder ? join(out, `${name}${formats[one].suffix}`) : out;
    return { format: one, file };
  });
  try {
    await makeFolders(dir);
    await access(dir, constants.W_OK);
    for (const { file } of files) await checkWritable(file);
  } catch (cause) {
    const message = `--out cannot be written: ${messageOf(cause)}`;
    throw new MillraceError("option_invalid", message, { cause });
  }
  return files;
}

/** What is there already; where nothing is, its folder decides. */
async function checkWritable(file: string): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found === null) return;
  if (found.isDirectory()) throw new Error(`${file} is a folder`);
  await access(file, constants.W_OK);
}

/** Why they could not be written; else null. What was seen is told all the same. */
async function writeFiles(
  taken: ProfileResponse,
  files: readonly ProfileFile[],
): Promise<MillraceError | null> {
  try {
    await Promise.all(files.map(({ format, file }) => writeFile(file, textOf(taken, format))));
    return null;
  } catch (cause) {
    return new MillraceError("output_failed", messageOf(cause), { cause });
  }
}

function textOf(taken: ProfileResponse, format: Format): string {
  const title = `millrace ${taken.of}`;
  if (format === "speedscope") return JSON.stringify(speedscopeOf(title, taken));
  if (format === "cpuprofile") return JSON.stringify(cpuProfileOf(taken));
  const note = `${(taken.sampledMs / 1_000).toFixed(1)} s, a sample each ${taken.everyMs} ms`;
  return drawFlame({ title, note, root: framesOf(taken) });
}

function view(
  taken: ProfileResponse,
  { shares, functions, operators }: ProfileSummary,
  written: readonly ProfileFile[],
): string {
  const { start, stop } = taken.stoodStillMs;
  return [
    `${taken.of}: ${(taken.sampledMs / 1_000).toFixed(1)} s, a sample each ${taken.everyMs} ms; the thread stood still for ${start.toFixed(1)} ms to begin and ${stop.toFixed(1)} ms to end`,
    profileFrameKinds.map((kind) => `${kindNames[kind]} ${percent(shares[kind])}`).join(", "),
    "",
    ...textTable(
      ["function", "where", "itself", "share"],
      functions.map((one) => [
        one.name,
        one.place,
        `${one.selfMs.toFixed(0)} ms`,
        percent(one.share),
      ]),
    ),
    ...textTable(
      ["operator", "graph", "calls a run", "time", "share of the runs"],
      operators.map((one) => [
        one.operator,
        one.graph,
        one.calls.toFixed(1),
        `${one.ms.toFixed(0)} ms`,
        percent(one.share),
      ]),
    ),
    ...taken.graphs.map(graphLine),
    ...textTable(
      ["stage, of all pipelines", "runs", "rows", "time"],
      taken.stages.map((one) => [
        `${one.model} ${one.stage}`,
        String(one.runs),
        String(one.rows),
        `${one.ms.toFixed(0)} ms`,
      ]),
    ),
    ...written.map(({ format, file }) => `written: ${file}, to be opened ${formats[format].open}`),
    "",
  ].join("\n");
}

function graphLine({ graph, runs, watchedRuns, watchingMs, problem }: ProfiledGraph): string {
  const seen = `${graph}: ${watchedRuns} of ${runs} runs written down in ${watchingMs.toFixed(1)} ms; the others are taken to be like them`;
  return problem === null ? seen : `${seen}; ${problem}`;
}

function seconds(value: string): number {
  const count = /^\d{1,2}$/.test(value) ? Number(value) : 0;
  if (count >= 1 && count <= profileSecondsMax) return count;
  throw new InvalidArgumentError(`Not a whole number from 1 to ${profileSecondsMax}.`);
}
