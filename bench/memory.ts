/**
 * `npm run bench -- memory`: what a second pipeline adds to memory for a model that a first one has. Sums of proportional
 * set sizes: a page that several processes map counts once, shared among them. Each child has worked before it is
 * measured, so that whatever it maps it has also touched.
 */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { ChildFrame } from "#src/frames/messages.js";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { weightsCacheArguments } from "#src/runtime/weights-cache.js";
import { systemClock } from "#src/work/clock.js";
import { generationPayload, readHypotheses } from "#src/work/generation.js";
import { type ChildPort, spawnChild } from "#src/worker/child.js";
import { readGeneration } from "../test/support/read-generation.js";
import { TempDir } from "../test/support/temp-dir.js";
import { beginReport } from "./harness/begin-report.js";
import { finish } from "./harness/finish.js";
import { countOf, usual } from "./harness/flags.js";
import { hashOf } from "./harness/machine.js";
import { processTimeMs } from "./harness/process-time.js";
import { type Report, ratios, under } from "./harness/report.js";
import { inTurns } from "./harness/rounds.js";
import { proportionalMiB } from "./rivals/memory.js";
import { readSentences } from "./sentences.js";

const usage = `npm run bench -- memory [flags]
  --model DIR        Millrace folder (default: models/en-zh)
  --sentences FILE   one a line (default: models/calibration.en.txt)
  --count N          sentences that each child translates before it is measured (default: 448)
  --rounds N         (default: 3)
  --json FILE        the figures`;

const entry = fileURLToPath(import.meta.resolve("#src/runtime/entry.js"));

interface Bench {
  readonly report: Report;
  readonly modelDir: string;
  readonly manifest: GenerationManifest;
  readonly sentences: readonly (readonly number[])[];
  readonly rounds: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: usual.model,
      sentences: usual.sentences,
      count: usual.count,
      rounds: usual.fewRounds,
      json: usual.json,
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const modelDir = resolve(values.model);
  const manifest = await readGeneration(modelDir);
  const tokenizer = join(modelDir, manifest.files.tokenizer);
  const sentences = readSentences(values.sentences, tokenizer, countOf("count", values.count));
  const rounds = countOf("rounds", values.rounds);
  const { report, machine } = beginReport("memory");
  const what = `${manifest.name} ${manifest.precision}, ${sentences.length} sentences`;
  report.say(`${what}, rounds: ${rounds}`);
  const ids = sentences.map(({ tokenIds }) => tokenIds);
  const bench: Bench = { report, modelDir, manifest, sentences: ids, rounds };
  await using temp = await TempDir.make();
  const cacheDir = temp.path;
  const options = { cacheDir, weightsCacheBytesMax: 2 ** 40, startTimeoutMs: 240_000 };
  await benchLayout("a copy each", bench, []);
  await benchLayout("weights shared", bench, weightsCacheArguments(options));
  await benchSpeed(bench, weightsCacheArguments(options));
  await finish(report, { machine, facts: { what, rounds }, jsonFile: values.json });
}

async function benchLayout(
  name: string,
  bench: Bench,
  entryArguments: readonly string[],
): Promise<void> {
  const rounds: Sizes[] = [];
  for (let round = 0; round < bench.rounds; round += 1) {
    rounds.push(await measure(bench, entryArguments));
  }
  const { report } = bench;
  const unit = "MiB";
  // A copy each takes as much again.
  const target = entryArguments.length > 0 ? under(0.25) : null;
  report.say(`\n${name}: MiB of proportional set sizes`);
  report.add(
    `${name}: an empty child adds`,
    rounds.map(({ empty }) => empty),
    { unit },
  );
  for (const when of ["loaded", "worked"] as const) {
    const [first, second] = [
      rounds.map((sizes) => sizes[when].first),
      rounds.map((sizes) => sizes[when].second),
    ];
    const title = `${name}, ${when}`;
    report.add(`${title}: the first, beyond that`, first, { unit });
    report.add(`${title}: the second, beyond that`, second, { unit });
    report.add(`${title}: second / first`, ratios(second, first), { target });
  }
  report.add(
    `${name}: load of the second`,
    rounds.map(({ loadMs }) => loadMs),
    { unit: "ms" },
  );
  report.say(`${name}: results ${[...new Set(rounds.map(({ hash }) => hash))].join(" ")}`);
}

interface Added {
  readonly first: number;
  readonly second: number;
}

interface Sizes {
  readonly empty: number;
  /** The warm-up was answered. */
  readonly loaded: Added;
  /** The sentences were translated. */
  readonly worked: Added;
  /** Of the second. */
  readonly loadMs: number;
  readonly hash: string;
}

/** Two empty children stay beside the others: what every process maps (Node, ONNX Runtime's code) is theirs. */
async function measure(bench: Bench, entryArguments: readonly string[]): Promise<Sizes> {
  const children: Child[] = [];
  const spawnEmpty = async (): Promise<Child> => {
    const child = new Child(entryArguments);
    children.push(child);
    await child.greeted();
    return child;
  };
  try {
    for (let count = 0; count < 2; count += 1) await spawnEmpty();
    const before = sumOf(children);
    const pair = [await spawnEmpty(), await spawnEmpty()] as const;
    const atStart = sumOf(children);
    const empty = (atStart - before) / 2;
    await pair[0].load(bench.modelDir);
    const oneLoaded = sumOf(children);
    // Before the first one works: what it gives back of that would be taken off from what the second one adds.
    const loadedAtMs = performance.now();
    await pair[1].load(bench.modelDir);
    const loadMs = performance.now() - loadedAtMs;
    const twoLoaded = sumOf(children);
    await pair[0].translate(bench);
    const oneWorked = sumOf(children);
    const hash = hashOf(await pair[1].translate(bench));
    const twoWorked = sumOf(children);
    const loaded = { first: oneLoaded - atStart, second: twoLoaded - oneLoaded };
    return {
      empty,
      loaded,
      worked: {
        first: loaded.first + oneWorked - twoLoaded,
        second: loaded.second + twoWorked - oneWorked,
      },
      loadMs,
      hash,
    };
  } finally {
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.ended));
  }
}

/** One child with its own copy and one that shares take turns; by processor time, whatever else runs here. */
async function benchSpeed(bench: Bench, sharing: readonly string[]): Promise<void> {
  const own = new Child([]);
  const shared = new Child(sharing);
  try {
    for (const child of [own, shared]) {
      await child.greeted();
      await child.load(bench.modelDir);
      await child.translate(bench);
    }
    const ms = await inTurns([own, shared], 3 * bench.rounds, async (child) => {
      return await child.usedBy(bench);
    });
    const faster = ratios(ms.get(own) ?? [], ms.get(shared) ?? []);
    bench.report.add("speed of shared weights / a copy of its own", faster);
  } finally {
    own.kill();
    shared.kill();
    await Promise.all([own.ended, shared.ended]);
  }
}

function sumOf(children: readonly Child[]): number {
  return children.reduce((sum, child) => sum + child.proportionalSetMiB(), 0);
}

/** A pipeline's process without its pipeline. */
class Child {
  readonly ended: Promise<void>;
  readonly #port: ChildPort;
  readonly #said: ChildFrame[] = [];
  #onSaid: () => void = () => {};

  constructor(entryArguments: readonly string[]) {
    let ended: () => void = () => {};
    this.ended = new Promise((resolve) => {
      ended = resolve;
    });
    const log = {
      info: (_: object, text: string) => console.error(text),
      warn: (_: object, text: string) => console.error(text),
    };
    this.#port = spawnChild(
      { entry, entryArguments, pipelineId: "bench", log, clock: systemClock, killTimeoutMs: 5_000 },
      {
        onFrame: (frame) => {
          this.#said.push(frame);
          this.#onSaid();
        },
        onBroken: (error) => console.error(error.message),
        onTooLarge: () => console.error("a sentence fits into no frame"),
        onEnd: ended,
      },
    );
  }

  kill(): void {
    this.#port.kill();
  }

  proportionalSetMiB(): number {
    const { pid } = this.#port;
    const mib = pid === null ? null : proportionalMiB([pid]);
    if (mib === null) throw new Error("only Linux tells proportional set sizes of a process");
    return mib;
  }

  /** Milliseconds of processor time; the kernel counts hundredths of a second. */
  async usedBy(bench: Bench): Promise<number> {
    const before = this.#processorMs();
    await this.translate(bench);
    return this.#processorMs() - before;
  }

  #processorMs(): number {
    const { pid } = this.#port;
    const ms = pid === null ? null : processTimeMs(pid);
    if (ms === null) throw new Error("only Linux tells the processor time of a process");
    return ms;
  }

  async greeted(): Promise<void> {
    await this.#hear((frame) => frame.type === "hello");
  }

  async load(modelDir: string): Promise<void> {
    const how = { model: "m", modelDir, version: "", seen: "", threads: 1, rowsMax: 64 };
    this.#port.send({ type: "load", ...how });
    const frame = await this.#hear(({ type }) => type === "loaded" || type === "load-failed");
    if (frame.type === "load-failed") throw new Error(frame.message);
  }

  async translate({ manifest, sentences }: Bench): Promise<number[][]> {
    const { lengthPenalty, maxLength } = manifest.generation;
    const settings = { beams: 1, nBest: 1, lengthPenalty, maxLength };
    const items = sentences.map((tokenIds, itemId) => ({
      itemId,
      payload: generationPayload({ tokenIds: [...tokenIds], settings }),
    }));
    this.#port.send({ type: "batch", model: "m", batchId: 1, class: "bulk", items });
    const results: number[][] = [];
    for (let left = items.length; left > 0; ) {
      const frame = await this.#hear(({ type }) => type === "items");
      for (const outcome of frame.type === "items" ? frame.outcomes : []) {
        if (!outcome.ok) throw new Error(outcome.message);
        results[outcome.itemId] = [...(readHypotheses(outcome.value)?.[0]?.tokenIds ?? [])];
        left -= 1;
      }
    }
    return results;
  }

  /** The next frame of that kind; those before it are forgotten. */
  async #hear(wanted: (frame: ChildFrame) => boolean): Promise<ChildFrame> {
    for (;;) {
      for (let frame = this.#said.shift(); frame !== undefined; frame = this.#said.shift()) {
        if (wanted(frame)) return frame;
      }
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#onSaid = resolve;
        }),
        this.ended.then(() => Promise.reject(new Error("the child ended"))),
      ]);
    }
  }
}
