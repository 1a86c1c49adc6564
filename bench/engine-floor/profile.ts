/**
 * `npm run bench -- profile`: where the time of the engine goes. Its real loop over real sentences, watched by ONNX Runtime's profiler and
 * by V8's at once, beside the same loop that nobody watches.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { type CalledFrame, rootFrame } from "#src/profile/call-tree.js";
import { CpuSampler } from "#src/profile/cpu-sampler.js";
import { drawFlame } from "#src/profile/flame.js";
import { readGeneration } from "../../test/support/read-generation.js";
import { TempDir } from "../../test/support/temp-dir.js";
import { perToken } from "../engine/drivers.js";
import { beginReport } from "../harness/begin-report.js";
import { describeModel } from "../harness/describe-model.js";
import { finish } from "../harness/finish.js";
import { countOf, usual } from "../harness/flags.js";
import { describeMachine, hashOf } from "../harness/machine.js";
import type { Report } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { readSentences } from "../sentences.js";
import { openModel, openProfiled } from "./profiled-model.js";
import { flameRoot, type Seen, tellSeen } from "./seen.js";

const usage = `npm run bench -- profile [flags]
Sentences through the engine's own loop, all admitted at once, on one thread of JavaScript: once with ONNX Runtime's profiler and V8's
(a sample each 0.2 ms), once without, in turns. Tables: operators of encoder and decoder, what the runtime does around them, what is outside
of it, and the functions that take most of that. Watching slows small operators down: the time without it stands beside.
  --model DIR        Millrace folder (default: models/en-zh)
  --sentences FILE   one a line (default: models/calibration.en.txt)
  --count N          sentences a pass (default: 256)
  --beams N          (default: 1)
  --rows N           of a step, beams included, as --rows-max of the server (default: 64)
  --threads N        of each run; 0: all cores (default: 1)
  --rounds N         passes of each (default: 3)
  --flame FILE       a flame graph as SVG, the runtime's operators above the runs that they are of (default: none)
  --json FILE        the figures as JSON
Examples:
  npm run bench -- profile --flame flame.svg
  npm run bench -- profile --model /tmp/base-int8 --beams 3 --count 64 --rows 192 --json profile.json`;

const flags = {
  model: usual.model,
  sentences: usual.sentences,
  count: { type: "string", default: "256" },
  beams: usual.beams,
  rows: usual.rows,
  threads: usual.threads,
  rounds: usual.fewRounds,
  flame: { type: "string" },
  json: usual.json,
  help: usual.help,
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof flags }>>["values"];

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { report, machine } = beginReport();
  report.say(
    `${values.model}, ${values.beams} beams: ${values.count} sentences a pass, ${values.rows} rows a step, ${values.threads} threads, ${values.rounds} passes`,
  );
  const manifest = await readGeneration(values.model);
  await using temp = await TempDir.make();
  const dir = temp.path;
  const seen = await watch({ report, values, manifest, dir });
  tellSeen(report, seen);
  if (values.flame !== undefined) {
    const title = `Where the engine's time goes: ${seen.name}, ${values.beams} beams`;
    const note = `${describeMachine(machine)}; npm run bench -- profile --beams ${values.beams} --count ${values.count} --rows ${values.rows}`;
    await writeFile(values.flame, drawFlame({ title, note, root: flameRoot(seen) }));
    report.say(`drawn: ${values.flame}`);
  }
  const facts = { settings: values, model: describeModel(manifest) };
  await finish(report, { machine, facts, jsonFile: values.json });
}

type Way = "plain" | "watched";

interface Watch {
  readonly report: Report;
  readonly values: Flags;
  readonly manifest: GenerationManifest;
  /** For the profiles. */
  readonly dir: string;
}

async function watch({ report, values, manifest, dir }: Watch): Promise<Seen> {
  const { name, files } = manifest;
  const choice = {
    modelDir: values.model,
    manifest,
    threads: countOf("threads", values.threads, 0),
  };
  const tokenizer = join(values.model, files.tokenizer);
  const sentences = readSentences(values.sentences, tokenizer, countOf("count", values.count));
  const ids = sentences.map(({ tokenIds }) => tokenIds);
  const drive = perToken(countOf("rows", values.rows), countOf("beams", values.beams));
  const plain = await openModel(choice);
  const watched = await openProfiled(choice, dir);
  const root: CalledFrame = rootFrame();
  const hashes = new Set<string>();
  // The runtime writes down all runs of its session: the other one warms up what both have.
  await drive(plain, ids);
  const ways: readonly Way[] = ["plain", "watched"];
  const ms = await inTurns(ways, countOf("rounds", values.rounds), async (way) => {
    // Starting and ending a profile takes longer than a short pass: the clock is inside.
    const pass = async (): Promise<number> => {
      const startedAtMs = performance.now();
      const results = await drive(way === "plain" ? plain : watched.model, ids);
      const passMs = performance.now() - startedAtMs;
      hashes.add(hashOf(results));
      return passMs;
    };
    return way === "plain" ? await pass() : await profiled(root, pass);
  });
  const sessions = watched.take();
  await plain.release();
  await watched.model.release();
  if (hashes.size > 1)
    throw new Error(`the passes gave different outputs: ${[...hashes].join(" ")}`);
  report.say(`outputs ${[...hashes].join(" ")}, equal with and without profilers\n`);
  const passMs = { plain: ms.get("plain") ?? [], watched: ms.get("watched") ?? [] };
  return { name, root, sessions, passMs, passes: countOf("rounds", values.rounds) };
}

/** A sample each 0.2 ms: what is watched ends soon, and its functions are short. */
const samplingMicroseconds = 200;

/** Runs `work` and adds what it did to `root`. */
async function profiled<Result>(root: CalledFrame, work: () => Promise<Result>): Promise<Result> {
  const sampler = new CpuSampler(samplingMicroseconds);
  try {
    const result = await work();
    sampler.addTo(root);
    return result;
  } finally {
    sampler.discard();
  }
}
