/**
 * The implementation of `Prepare`: small requests are worked on here, in slices with the event loop's other
 * work between them; large ones in a thread.
 */

import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import type { ModelFolder, ModelRegistry } from "../models/registry.js";
import type { Prepare, PreparedText, PrepareRequest } from "./prepared.js";
import { type PrepareStep, prepareSteps, type StepSettings, TextCollector } from "./steps.js";
import { sentenceCharactersMax } from "./text/split.js";
import { TextTokenizer } from "./text/text-tokenizer.js";
import { prepareTokenIds, type TokenIdLimits } from "./token-ids.js";
import { TokenizerThread } from "./tokenizer-thread.js";
import { Turns } from "./turns.js";

export interface PreparerOptions {
  readonly registry: ModelRegistry;
  /** Of one text, in UTF-16 units; more is `input_too_long`, or cut where the request says `truncate`. */
  readonly itemCharactersMax: number;
  /** Requests with more characters than this go to the thread. Default: 16,384, some 20 ms of work. */
  readonly inlineCharactersMax?: number;
  /** Large requests that may be in the thread at once; more are refused with `queue_full`. Default: 64. */
  readonly threadJobsMax?: number;
}

/** What one message to the thread takes along: copying it must not hold the event loop either. */
const messageTextsMax = 1024;
const messageCharactersMax = 256 * 1024;

const place = { class: (): "realtime" => "realtime", tenant: "default", weight: 0 };

interface ServedModel {
  readonly folder: ModelFolder;
  readonly tokenizer: TextTokenizer;
}

export class Preparer implements Prepare, AsyncDisposable {
  readonly #registry: ModelRegistry;
  readonly #models: ReadonlyMap<string, ServedModel>;
  readonly #itemCharactersMax: number;
  readonly #inlineCharactersMax: number;
  readonly #thread: TokenizerThread;
  readonly #turns: Turns = new Turns();

  private constructor(options: PreparerOptions, models: ReadonlyMap<string, ServedModel>) {
    this.#registry = options.registry;
    this.#models = models;
    this.#itemCharactersMax = options.itemCharactersMax;
    this.#inlineCharactersMax = options.inlineCharactersMax ?? 16_384;
    this.#thread = new TokenizerThread(options.registry.list(), options.threadJobsMax ?? 64);
  }

  /** Loads the tokenizers of all models; throws `model_folder_invalid` where one is none. */
  static async open(options: PreparerOptions): Promise<Preparer> {
    const models = new Map<string, ServedModel>();
    for (const folder of options.registry.list()) {
      const tokenizer = await TextTokenizer.open({
        path: join(folder.dir, folder.manifest.files.tokenizer),
        unknownTokenId: folder.manifest.generation.unknownTokenId,
      });
      models.set(folder.manifest.name, { folder, tokenizer });
    }
    return new Preparer(options, models);
  }

  async prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedText[]> {
    const { folder, tokenizer } = this.#model(request.model);
    const { inputTokensMax } = folder.manifest.limits;
    const { inputs, split, truncate } = request;
    if (inputs.kind === "tokenIds") {
      const limits = { vocabulary: folder.manifest.shape.vocabulary, inputTokensMax, truncate };
      return await this.#turns.run(prepareAllTokenIds(inputs.tokenIds, limits), place, signal);
    }
    const { texts } = inputs;
    const settings = {
      split,
      truncate,
      inputTokensMax,
      itemCharactersMax: this.#itemCharactersMax,
    };
    if (this.#isLarge(texts, split)) {
      const work = { model: folder.manifest.name, texts, settings };
      return await this.#prepareInThread(work, signal);
    }
    const steps = prepareSteps(texts, tokenizer, { ...settings, firstIndex: 0 });
    return await this.#turns.run(collect(steps), place, signal);
  }

  detokenize(model: string, tokenIds: readonly number[]): string {
    return this.#model(model).tokenizer.decode(tokenIds);
  }

  /** Ends the thread; large requests in it fail with `draining`. */
  async close(): Promise<void> {
    await this.#thread.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #model(name: string): ServedModel {
    const { manifest } = this.#registry.get(name);
    const model = this.#models.get(manifest.name);
    // The registry is read once, and every model of it was opened.
    if (model === undefined)
      throw new MillraceError("internal", `no tokenizer of ${manifest.name}`);
    return model;
  }

  /** A text that is not split is one tokenizer call, however long it is. */
  #isLarge(texts: readonly string[], split: boolean): boolean {
    let characters = 0;
    for (const text of texts) {
      if (!split && text.length > sentenceCharactersMax) return true;
      characters += text.length;
      if (characters > this.#inlineCharactersMax) return true;
    }
    return false;
  }

  async #prepareInThread(work: ThreadWork, signal: AbortSignal): Promise<PreparedText[]> {
    const { model, texts, settings } = work;
    const prepared: PreparedText[] = [];
    while (prepared.length < texts.length) {
      const firstIndex = prepared.length;
      const portion = texts.slice(firstIndex, firstIndex + portionLength(texts, firstIndex));
      const job = { model, texts: portion, settings: { ...settings, firstIndex } };
      for (const text of await this.#thread.run(job, signal)) prepared.push(text);
    }
    return prepared;
  }
}

interface ThreadWork {
  readonly model: string;
  readonly texts: readonly string[];
  readonly settings: StepSettings;
}

/** How many texts from `first` on fit one message; at least one. */
function portionLength(texts: readonly string[], first: number): number {
  let characters = 0;
  let count = 0;
  for (const text of texts.slice(first, first + messageTextsMax)) {
    characters += text.length;
    if (count > 0 && characters > messageCharactersMax) break;
    count += 1;
  }
  return count;
}

function* collect(steps: Iterable<PrepareStep>): Generator<void, PreparedText[]> {
  const collector = new TextCollector();
  for (const step of steps) {
    collector.add(step);
    yield;
  }
  return collector.texts;
}

function* prepareAllTokenIds(
  inputs: readonly (readonly number[])[],
  limits: TokenIdLimits,
): Generator<void, PreparedText[]> {
  const prepared: PreparedText[] = [];
  for (const [index, tokenIds] of inputs.entries()) {
    prepared.push(prepareTokenIds(tokenIds, index, limits));
    yield;
  }
  return prepared;
}
