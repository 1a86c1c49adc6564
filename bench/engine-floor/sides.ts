/** One model as the floor is measured on it: its own runs, and graphs of its products. */
import { join } from "node:path";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { Arena, cacheShapeOf, padWidth } from "#src/runtime/generation/arena.js";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { candidatesNeeded, type SearchRules } from "#src/runtime/generation/search/search.js";
import { Binding } from "#src/runtime/native/binding.js";
import { NativeSession } from "#src/runtime/native/native-session.js";
import { readGeneration } from "../../test/support/read-generation.js";
import { TempDir } from "../../test/support/temp-dir.js";
import {
  type FloorPart,
  inputName,
  inputWidthsOf,
  type ReadGraph,
  readProducts,
  writeProductGraph,
} from "./product-graph.js";
import type { StepSize } from "./work.js";

type GraphName = "encoder" | "decoder";
/** Does what is measured once. */
export type Run = () => Promise<unknown>;

export class Side implements AsyncDisposable {
  readonly manifest: GenerationManifest;
  readonly graphs: Readonly<Record<GraphName, ReadGraph>>;
  readonly #modelDir: string;
  readonly #threads: number;
  readonly #model: GenerationModel;
  /** Of its made graphs; removed with it. */
  readonly #dir: TempDir;
  readonly #sessions = new Map<string, NativeSession>();

  static async open(modelDir: string, threads: number): Promise<Side> {
    const manifest = await readGeneration(modelDir);
    const { encoder, decoder, weights } = manifest.files;
    const paths = { encoder: join(modelDir, encoder), decoder: join(modelDir, decoder) };
    const graphs = {
      encoder: await readProducts(paths.encoder),
      decoder: await readProducts(paths.decoder),
    };
    const options = { threads, spin: false, data: [weights] };
    const model = await GenerationModel.load(paths, manifest, options);
    const dir = await TempDir.make();
    return new Side({ modelDir, threads, manifest, graphs, model, dir });
  }

  private constructor(from: {
    readonly modelDir: string;
    readonly threads: number;
    readonly manifest: GenerationManifest;
    readonly graphs: Readonly<Record<GraphName, ReadGraph>>;
    readonly model: GenerationModel;
    readonly dir: TempDir;
  }) {
    this.manifest = from.manifest;
    this.graphs = from.graphs;
    this.#modelDir = from.modelDir;
    this.#threads = from.threads;
    this.#model = from.model;
    this.#dir = from.dir;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#model.release();
    for (const session of this.#sessions.values()) session.release();
    await this.#dir[Symbol.asyncDispose]();
  }

  /** A step as the engine runs it; the arena stays as it is, so that all are equal. */
  async step({ sentences, beams, past, input }: StepSize): Promise<Run> {
    const { shape, generation } = this.manifest;
    const arena = new Arena({
      ...cacheShapeOf(shape),
      width: beams,
      crossWidth: padWidth(input),
      slotsMax: sentences,
    });
    const encoded = await this.#model.encode([this.#sentence(input)], padWidth(input));
    for (let slot = 0; slot < sentences; slot += 1) arena.add(encoded, 0, input);
    arena.lengths.fill(past, 0, sentences);
    arena.reserve();
    for (const { pastKey, pastValue } of arena.layers) {
      fillNoise(pastKey);
      fillNoise(pastValue);
    }
    const rules: SearchRules = generation;
    const topK = Math.min(candidatesNeeded(beams, rules), shape.targetVocabulary);
    const tokens = new Int32Array(sentences * beams).fill(generation.startTokenId);
    return () => this.#model.step(arena, tokens, topK);
  }

  /** As `step`: a chunk of equal sentences. */
  chunk(sentences: number, tokens: number): Run {
    const chunk = Array.from({ length: sentences }, () => this.#sentence(tokens));
    return () => this.#model.encode(chunk, padWidth(tokens));
  }

  /** The products of a graph with so many rows, or what feeds them. */
  async floor(graph: GraphName, part: FloorPart, rows: number): Promise<Run> {
    const read = this.graphs[graph];
    const session = await this.#session(graph, part);
    const kept = new Float32Array(read.products.length);
    const binding = new Binding(session, { kept });
    for (const width of inputWidthsOf(read)) {
      binding.feed(inputName(width), fillNoise(new Float32Array(rows * width)), [rows, width]);
    }
    binding.fetch("kept", kept, [1, kept.length]);
    return async () => await binding.run();
  }

  async #session(graph: GraphName, part: FloorPart): Promise<NativeSession> {
    const key = `${graph}-${part}`;
    const found = this.#sessions.get(key);
    if (found !== undefined) return found;
    const { weights } = this.manifest.files;
    const to = { dir: this.#dir.file(key), modelDir: this.#modelDir, weights };
    const path = await writeProductGraph(this.graphs[graph], part, to);
    // The graph without products names no weights.
    const data = part === "products" ? [weights] : [];
    const session = await NativeSession.open(path, { threads: this.#threads, spin: false, data });
    this.#sessions.set(key, session);
    return session;
  }

  /** Tokens that differ, as a sentence's do. */
  #sentence(tokens: number): number[] {
    const { sourceVocabulary } = this.manifest.shape;
    return Array.from({ length: tokens }, (_, at) => (at * 7_919 + 11) % sourceVocabulary);
  }
}

/** From −1 to 1: what is multiplied, and by how much, takes no time, but denormals and NaN would. */
function fillNoise(values: Float32Array): Float32Array {
  for (let at = 0; at < values.length; at += 1) {
    values[at] = (Math.imul(at + 1, 2_654_435_761) >>> 8) / 2 ** 23 - 1;
  }
  return values;
}
