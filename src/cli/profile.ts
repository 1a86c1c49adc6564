/** `millrace profile`: what a thread of a running server does, as a drawing and as files of profilers. */
import { access, constants, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { Millrace, MillraceError } from "millrace-client";
import { type ProfiledGraph, type ProfileResponse, profileSecondsMax } from "millrace-client/wire";
import { percent } from "../doctor/words.js";
import { makeFolders } from "../platform/make-folders.js";
import { cpuProfileOf } from "../profile/cpuprofile.js";
import { drawFlame } from "../profile/flame.js";
import { frontName } from "../profile/profiles.js";
import { speedscopeOf } from "../profile/speedscope.js";
import { framesOf, type ProfileSummary, summaryOf } from "../profile/summary.js";
import { exitCodes } from "./exit-codes.js";
import { draw, printJson, printText } from "./print.js";
import { addServerFlags, keyOf, type ServerFlags } from "./remote.js";
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
    .argument("[url]", "the server; else --url");
  addServerFlags(command)
    .option("--seconds <n>", `from 1 to ${profileSecondsMax}`, seconds, 10)
    .option("--pipeline <name>", "a pipeline, as `status` names it, or front", frontName)
    .option("--operators", "of a pipeline: the operators that ONNX Runtime runs, too")
    .option("--out <path>", "a folder, or with --format a file", ".")
    .addOption(new Option("--format <name>", "only this one").choices(formatNames))
    .option("--json", "the summary as JSON")
    .addHelpText("after", examples)
    .action((url: string | undefined, flags: Flags) =>
      profile({ ...flags, url: url ?? flags.url }),
    );
}

async function profile(flags: Flags): Promise<void> {
  const files = await filesOf(flags);
  await using client = new Millrace(flags.url, { retry: { attemptsMax: 1 }, ...keyOf(flags) });
  // The first Ctrl-C ends the profile and not the command; the second one is everybody's.
  let cut = false;
  const onInterrupt = (): void => {
    cut = true;
    // Where it cannot be ended, the answer says why.
    client.endProfile().catch(() => {});
    process.once("SIGINT", () => process.exit(exitCodes.interrupted));
  };
  process.once("SIGINT", onInterrupt);
  const stopTelling = tellProgress(flags);
  try {
    const { pipeline: of, seconds: asSeconds, operators = false } = flags;
    const asked = { of, seconds: asSeconds, operators };
    const taken = await client.profile(asked).finally(stopTelling);
    await writeFiles(taken, files);
    const summary = summaryOf(taken);
    if (flags.json === true) {
      const { nodes: _, ...told } = taken;
      printJson({ ...told, ...summary, files });
    } else printText(view(taken, summary, files));
    process.exitCode = cut ? exitCodes.interrupted : exitCodes.ok;
  } finally {
    process.off("SIGINT", onInterrupt);
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
  try {
    await makeFolders(dir);
    await access(dir, constants.W_OK);
  } catch (error) {
    throw unwritable(error);
  }
  return wanted.map((one) => {
    const file = isFolder ? join(out, `${name}${formats[one].suffix}`) : out;
    return { format: one, file };
  });
}

async function writeFiles(taken: ProfileResponse, files: readonly ProfileFile[]): Promise<void> {
  try {
    await Promise.all(files.map(({ format, file }) => writeFile(file, textOf(taken, format))));
  } catch (error) {
    throw unwritable(error);
  }
}

function unwritable(cause: unknown): MillraceError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new MillraceError("option_invalid", `--out cannot be written: ${why}`, { cause });
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
    `idle ${percent(shares.idle)}, native ${percent(shares.native)}, garbage collection ${percent(shares.collection)}, Millrace's JavaScript ${percent(shares.javascript)}, Node ${percent(shares.node)}`,
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
