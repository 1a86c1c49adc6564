/** Both sides, resident: the seeds' way of decoding, and Millrace's servers of two pipelines. */
import { LineProcess, scriptOf } from "../line-process.js";
import { pairOf, type ResidentServer, startServer } from "../residents.js";
import type { Translator } from "../turn.js";
import type { Models } from "./models.js";
import type { SeedsResult, SeedsSpec } from "./seeds-child.js";

export interface SidesSpec {
  readonly models: Models;
  /** JSON: the ids of each sentence. */
  readonly idsFile: string;
  /** Sentences of a batch of the rival's. */
  readonly batch: number;
  /** Of each of Millrace's pipelines. */
  readonly rowsMax: number;
  /** For whatever is written. */
  readonly dir: string;
}

export interface Sides extends AsyncDisposable {
  readonly seeds: Translator;
  readonly int8: ResidentServer;
  readonly f32: ResidentServer;
}

export async function startSides(spec: SidesSpec): Promise<Sides> {
  const { models, dir, idsFile, rowsMax } = spec;
  const pair = { ...pairOf(dir), rowsMax };
  const started: Translator[] = [];
  const keep = <One extends Translator>(translator: One): One => {
    started.push(translator);
    return translator;
  };
  const dispose = async (): Promise<void> => {
    for (const translator of started) await translator[Symbol.asyncDispose]();
  };
  try {
    return {
      seeds: keep(await startSeeds(spec, null)),
      int8: keep(await startServer({ ...pair, models: models.int8 }, idsFile)),
      f32: keep(await startServer({ ...pair, models: models.f32 }, idsFile)),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** With all cores. `profileDir`: where its first turn's profile is written; null: none is made. */
export async function startSeeds(
  { models, idsFile, batch }: SidesSpec,
  profileDir: string | null,
): Promise<Translator> {
  const { f32: modelDir, decoder } = models;
  const spec: SeedsSpec = { modelDir, decoder, idsFile, threads: 0, batch, profileDir };
  const [child] = await LineProcess.start(scriptOf("seeds-decoder/seeds-child.js", spec));
  return {
    pid: child.pid,
    translate: async (turn) => JSON.parse(await child.ask(JSON.stringify(turn))) as SeedsResult,
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
