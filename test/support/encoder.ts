/** Runs the graph of a converted encoder by itself, as the contract in manifest-encoder.ts has it. */
import { join } from "node:path";
import { programManifestOf } from "#src/models/engine-table.js";
import { manifestFileName } from "#src/models/manifest-base.js";
import type { EncoderManifest } from "#src/models/programs/manifest-encoder.js";
import { readJsonFile } from "#src/models/read-json.js";
import { parseManifest, verifyFiles } from "#src/models/read-manifest.js";
import { flatten } from "#src/runtime/flat-batch.js";
import { type Feeds, f32, floatsOf, i32, i64, Session } from "#src/runtime/session.js";

export interface EncoderText {
  readonly ids: readonly number[];
  readonly types?: readonly number[];
}

export interface EncoderRun {
  /** Default: mean. */
  readonly pooling?: "mean" | "cls" | "sep";
  /** Default: the last. */
  readonly layer?: number;
  /** Default: the least multiple of 16. */
  readonly width?: number;
}

/** For each text what the graph gave of it. */
export interface EncoderAnswer {
  readonly outputs: Readonly<Record<string, Float32Array>>;
  /** `[tokens, width]`. */
  readonly tokens: Float32Array | null;
}

interface OpenOptions {
  /** Of a model that shares the folder of another one. */
  readonly manifestName?: string;
  readonly threads?: number;
}

export class EncoderGraph implements AsyncDisposable {
  readonly manifest: EncoderManifest;
  readonly #session: Session;

  private constructor(manifest: EncoderManifest, session: Session) {
    this.manifest = manifest;
    this.#session = session;
  }

  static async open(
    dir: string,
    { manifestName = manifestFileName, threads = 1 }: OpenOptions = {},
  ): Promise<EncoderGraph> {
    const manifestPath = join(dir, manifestName);
    const manifest = parseManifest(manifestPath, await readJsonFile(manifestPath));
    await verifyFiles(dir, manifest);
    const encoder = programManifestOf(manifest, "encoder");
    const path = join(dir, encoder.files.encoder);
    return new EncoderGraph(encoder, await Session.open(path, { threads, spin: false }));
  }

  async run(texts: readonly EncoderText[], options: EncoderRun = {}): Promise<EncoderAnswer[]> {
    const { shape } = this.manifest;
    const fetches = await this.#session.run(this.feeds(texts, options));
    const { tokens: all, ...rest } = fetches;
    let at = 0;
    return texts.map(({ ids }, index) => {
      const from = at;
      at += ids.length * shape.width;
      return {
        outputs: Object.fromEntries(
          Object.keys(rest).map((name) => {
            const floats = floatsOf(fetches, name);
            const width = floats.length / texts.length;
            return [name, floats.slice(index * width, (index + 1) * width)];
          }),
        ),
        tokens: all === undefined ? null : floatsOf(fetches, "tokens").slice(from, at),
      };
    });
  }

  feeds(texts: readonly EncoderText[], options: EncoderRun = {}): Feeds {
    const { shape, embedding } = this.manifest;
    const longest = Math.max(...texts.map(({ ids }) => ids.length));
    const width = options.width ?? Math.ceil(longest / 16) * 16;
    const batch = flatten(
      texts.map(({ ids }) => ids),
      width,
    );
    const count = batch.tokens.length;
    const types = texts.flatMap(({ ids, types = [] }) => ids.map((_, index) => types[index] ?? 0));
    const pool = new Float32Array(texts.length * width);
    for (const [index, { ids }] of texts.entries()) {
      const from = index * width;
      if (options.pooling === "cls") pool[from] = 1;
      else if (options.pooling === "sep") pool[from + ids.length - 1] = 1;
      else pool.fill(1 / ids.length, from, from + ids.length);
    }
    return {
      ids: i32(batch.tokens, [count]),
      positions: i32(batch.positions, [count]),
      mask: f32(batch.mask, [texts.length, 1, 1, width]),
      place_tokens: i32(batch.placeTokens, [texts.length * width]),
      token_places: i32(batch.tokenPlaces, [count]),
      sentence_shape: i64([texts.length, width]),
      ...(shape.tokenTypes > 0 ? { types: i32(Int32Array.from(types), [count]) } : {}),
      ...(embedding === null
        ? {}
        : {
            pool: f32(pool, [texts.length, 1, width]),
            layer: i64([options.layer ?? shape.layers]),
          }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.release();
  }
}
