/** The real server under the suite: small real models, real processes that can be stopped and killed, and the native route. */
import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import type { StatusResponse } from "millrace-client/wire";
import { type CreateServerOptions, createServer, type MillraceServer } from "#src/index.js";
import { convertQuietly } from "../../support/converted.js";
import { writeMadeEncoder } from "../../support/made-encoder.js";
import { writeMarianFolder } from "../../support/marian-folder.js";
import { graphBytes } from "../../support/onnx-graph.js";
import { pidsOf, until } from "../../support/real-server.js";
import type { TempDir } from "../../support/temp-dir.js";
import { modelOf, type Outcome, type TaskName, type Tasks } from "./driver.js";

const tableSize = 512;
/** A text may be long, for it is split into sentences; this is where it ends. */
const inputCharactersMax = 400;

/** What the suite asks for, by task. */
export const questions: {
  readonly [Task in TaskName]: {
    /** All different. */
    readonly good: (count: number) => Tasks[Task]["input"][];
    /** Read, and failed by the model. */
    readonly bad: Tasks[Task]["input"];
    readonly tooLong: Tasks[Task]["input"];
  };
} = {
  embed: {
    good: (count) => numbered(count, ["hello", "world", "good", "bad", "a", "b"]),
    bad: "hello nan",
    tooLong: "a b ".repeat(40).trim(),
  },
  translate: {
    good: (count) => numbered(count, ["house", "river", "winter", "green", "people", "music"]),
    bad: "\u2603",
    tooLong: "house ".repeat(inputCharactersMax / 5).trim(),
  },
  infer: {
    good: (count) =>
      Array.from({ length: count }, (_, at) => [at % tableSize, (7 * at) % tableSize]),
    bad: [0, tableSize],
    tooLong: [1, 2, 3],
  },
};

/** Room for two hundred callers, and for the one request that fills it. */
const queuedItemsMax = 400;
/** What small requests are let in above. */
const aboveItems = queuedItemsMax / 100;

export class World implements AsyncDisposable {
  readonly server: MillraceServer;
  #stopping: NodeJS.Timeout | undefined;

  private constructor(server: MillraceServer) {
    this.server = server;
  }

  static async start(modelsDir: string, options: CreateServerOptions): Promise<World> {
    const server = await createServer({
      models: modelsDir,
      port: 0,
      pipelines: 2,
      threads: 1,
      logLevel: "silent",
      restartBackoffMs: 10,
      queuedItemsMax,
      requestInputsMax: queuedItemsMax,
      inputCharactersMax,
      ...options,
    });
    const world = new World(server);
    await world.loaded();
    return world;
  }

  get status(): StatusResponse {
    return this.server.views.status();
  }

  /**
   * Nothing is run until `resume`. Where that takes long on a loaded machine they are taken for hung and replaced: then the
   * new ones stand still too.
   */
  pause(): void {
    const stop = (): void => {
      for (const pid of pidsOf(this.status)) signal(pid, "SIGSTOP");
    };
    stop();
    this.#stopping ??= setInterval(stop, 25);
  }

  resume(): void {
    clearInterval(this.#stopping);
    this.#stopping = undefined;
    for (const pid of pidsOf(this.status)) signal(pid, "SIGCONT");
  }

  /** Ends one, or all, with what is in them. */
  kill(count: number): void {
    for (const pid of pidsOf(this.status).slice(0, count)) signal(pid, "SIGKILL");
  }

  /** Until so many requests are in the server. */
  async active(count: number): Promise<void> {
    await until(() => this.status.requests.active === count);
  }

  /** Until every pipeline is up and has every model. */
  async loaded(): Promise<void> {
    await until(() =>
      this.status.pipelines.every(
        ({ state, models }) =>
          state === "ready" &&
          models.filter((each) => each.state === "resident").length === this.status.models.length,
      ),
    );
  }

  /** What a model's stage that takes whole inputs did since the start. */
  async work(task: TaskName): Promise<{ readonly runs: number; readonly rows: number }> {
    await this.#roundTrips(besides(task));
    const { stages } = this.status;
    const own = stages.filter(
      ({ model, stage }) => model === modelOf[task] && !laterStages.has(stage),
    );
    const sum = (of: "runs" | "rows"): number => own.reduce((all, each) => all + each[of], 0);
    return { runs: sum("runs"), rows: sum("rows") };
  }

  /**
   * Pipelines tell what they did a little after its last result. Each of them says things in their order, so once each has
   * answered for another model, all of it is told.
   */
  async #roundTrips(task: TaskName): Promise<void> {
    this.pause();
    const each = (): boolean => this.status.pipelines.every(({ items }) => items.inFlight > 0);
    const asked = await this.#askUntil(each, task, 1);
    this.resume();
    await Promise.all(asked);
  }

  /** While they stand still: until some of it waits before the pipelines, because they have what they take. */
  async occupy(
    task: TaskName,
  ): Promise<{ readonly inputs: number; readonly done: Promise<unknown> }> {
    const count = 32;
    const asked = await this.#askUntil(() => this.held().waiting > 0, task, count);
    return { inputs: count * asked.length, done: Promise.all(asked) };
  }

  async #askUntil(
    enough: () => boolean,
    task: TaskName,
    count: number,
  ): Promise<readonly Promise<unknown>[]> {
    const asked: Promise<unknown>[] = [];
    while (!enough()) {
      const { all } = this.held();
      asked.push(this.native(task, questions[task].good(count) as string[] & number[][]));
      await until(() => this.held().all > all);
    }
    return asked;
  }

  /** Items in the server that are prepared: those that no pipeline has yet, and all. */
  held(): { readonly waiting: number; readonly all: number } {
    const { queues, pipelines } = this.status;
    const waiting = queues.reduce((sum, { items }) => sum + items, 0);
    return { waiting, all: pipelines.reduce((sum, { items }) => sum + items.inFlight, waiting) };
  }

  /** Over the native route, in JSON. */
  async native<Task extends TaskName>(
    task: Task,
    inputs: readonly Tasks[Task]["input"][],
    fields: Readonly<Record<string, unknown>> = {},
  ): Promise<readonly Outcome<Task>[]> {
    const body =
      task === "infer"
        ? { inputs: { at: inputs }, model: modelOf[task] }
        : { texts: inputs, model: modelOf[task] };
    const response = await fetch(`${this.server.url}/v1/${task}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...body, ...fields }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return readNative(task, await response.json());
  }

  /** Until nothing more is let in; resolves when all of it is in, and gives what ends when it has run. */
  async fill(): Promise<{ readonly done: Promise<unknown> }> {
    const before = this.status.requests.active;
    const many = this.native("embed", questions.embed.good(queuedItemsMax), { class: "bulk" });
    await this.active(before + 1);
    const one = questions.embed.good(1);
    const above = Array.from({ length: aboveItems }, () => this.native("embed", one));
    await this.active(before + 1 + aboveItems);
    return { done: Promise.all([many, ...above]) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume();
    await this.server.close();
  }
}

/** Steps of decoders, and rows that were cut into runs because the machine was slow: each row is in another stage as well. */
const laterStages: ReadonlySet<string> = new Set(["decode", "cut"]);

/** Unless it has ended. */
function signal(pid: number, name: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Of two models that are served, the other one's; all fill the queue with texts to embed. */
function besides(task: TaskName): TaskName {
  return task === "embed" ? "infer" : "embed";
}

/** The folder of the task's model and one of another task; removed with it. A third would be loaded by every process for nobody. */
export async function writeModels(dir: TempDir, task: TaskName): Promise<string> {
  for (const each of [task, besides(task)]) await writeModel[each](dir);
  return dir.file("models");
}

const writeModel: Readonly<Record<TaskName, (dir: TempDir) => Promise<unknown>>> = {
  embed: (dir) => writeMadeEncoder(dir.file("models", modelOf.embed), { inputTokensMax: 32 }),
  translate: writeTranslator,
  infer: async (dir) => {
    await mkdir(dir.file("models"), { recursive: true });
    await writeFile(dir.file("models", `${modelOf.infer}.onnx`), table);
  },
};

async function writeTranslator(dir: TempDir): Promise<void> {
  // Its name says between which languages, for protocols that choose a model by them.
  const modelDir = await writeMarianFolder(dir.file("marian-en-zh"), {
    config: { share_encoder_decoder_embeddings: false },
    change: breakUnknown,
    seed: 8,
  });
  await convertQuietly({ modelDir, outDir: dir.file("models", modelOf.translate) });
  await rm(modelDir, { recursive: true });
}

/** What is said depends on what was asked, and whatever the vocabulary does not have becomes no number. */
function breakUnknown(name: string, values: Float32Array): void {
  if (/attn\..*weight$|fc\d\.weight$/.test(name)) {
    for (const [index, value] of values.entries()) values[index] = 4 * value;
  }
  const width = 16;
  if (name === "model.encoder.embed_tokens.weight") values.fill(3e38, width, 2 * width);
}

const table = graphBytes({
  nodes: [{ opType: "Gather", input: ["table", "at"], output: ["found"] }],
  inputs: [{ name: "at", type: "INT64", shape: ["n", 2] }],
  outputs: [{ name: "found", type: "FP32", shape: ["n", 2] }],
  initializers: [
    {
      dims: [tableSize],
      dataType: 1,
      name: "table",
      rawData: new Uint8Array(
        Float32Array.from({ length: tableSize }, (_, at) => Math.fround(Math.sin(at))).buffer,
      ),
    },
  ],
});

/** Numbers of that many digits, spelled in words: all different, of one to some words. */
function numbered(count: number, words: readonly string[]): string[] {
  return Array.from({ length: count }, (_, at) =>
    Array.from((at + words.length).toString(words.length))
      .map((digit) => words[Number.parseInt(digit, words.length)] ?? "")
      .join(" "),
  );
}

interface NativeReply {
  readonly results: readonly (
    | { readonly error: { readonly code: string } }
    | { readonly text: string }
    | { readonly embedding: readonly number[] }
    | { readonly outputs: Readonly<Record<string, { readonly data: readonly number[] }>> }
  )[];
}

export function readNative<Task extends TaskName>(
  _task: Task,
  reply: unknown,
): readonly Outcome<Task>[] {
  const outcomes = (reply as NativeReply).results.flatMap((result): unknown[] => {
    if ("error" in result) return [{ error: result.error.code }];
    if ("text" in result) return [result.text];
    if ("embedding" in result) return [result.embedding];
    return pairsOf(result.outputs["found"]?.data ?? []);
  });
  return outcomes as unknown as readonly Outcome<Task>[];
}

/** Rows of two. */
export function pairsOf(flat: readonly number[]): number[][] {
  return Array.from({ length: flat.length / 2 }, (_, row) => flat.slice(2 * row, 2 * row + 2));
}
