/** Texts, or lists of tokens, as the clients send them → a question for submit, and its answer → rows of numbers. */
import { MillraceError, type WorkClass } from "millrace-client/wire";
import type { BertPoolingStrategy } from "../../options/bert-options.js";
import type { Asker } from "../../work/asker.js";
import { type Payload, tensorArrays } from "../../work/payload.js";
import { type Answer, ask } from "../ask.js";
import type { FrontParts } from "../front.js";

/** All of one request: row after row, float32. */
export interface Encoded {
  readonly data: Float32Array;
  /** `[texts, width]`, or `[texts, tokens, width]` where nothing is pooled. */
  readonly shape: readonly number[];
  /** Of each text, where they are to be shown. */
  readonly tokens: readonly (readonly string[])[] | null;
}

export interface BertTexts {
  readonly kind: "texts" | "tokens";
  readonly list: readonly (readonly unknown[] | string)[];
  readonly bytes: number;
}

const task = "embed";
/** As the original has it: the last one in a text counts. */
const pairMark = " ||| ";
const pairToken = "|||";

const poolings: Readonly<Record<BertPoolingStrategy, string>> = {
  NONE: "none",
  REDUCE_MEAN: "mean",
  REDUCE_MAX: "max",
  REDUCE_MEAN_MAX: "mean-max",
  CLS_TOKEN: "cls",
  FIRST_TOKEN: "cls",
  SEP_TOKEN: "sep",
  LAST_TOKEN: "sep",
};

export class BertEncoder {
  readonly #parts: FrontParts;

  constructor(parts: FrontParts) {
    this.#parts = parts;
  }

  /** @throws MillraceError, as `Submit.submit`, or that of the first text that has no vector. */
  async encode(asker: Asker, texts: BertTexts): Promise<Encoded> {
    const { options } = this.#parts;
    this.#checkReply(texts.list.length);
    const answer = await ask(this.#parts, asker, {
      task,
      model: options.bertModel,
      fields: this.#fieldsOf(texts),
      payloadBytes: texts.bytes,
      class: this.#classOf(asker, texts.list.length),
    });
    return this.#encodedOf(wholeOf(answer), answer.summary.model);
  }

  /**
   * Before anything is run for it: rows that are padded to a fixed length may be far more than what the texts come to.
   *
   * @throws MillraceError `too_many_items`
   */
  #checkReply(texts: number): void {
    const { bertModel, bertPoolingStrategy } = this.#parts.options;
    if (bertPoolingStrategy !== "NONE") return;
    const models = this.#parts.views.models();
    const found = models.find(({ name, task: of }) =>
      bertModel === null ? of === task : name === bertModel,
    );
    const width = found?.embedding?.width ?? 0;
    this.#checkBytes(texts * this.#rowTokens(found?.name ?? "") * width * 4);
  }

  #checkBytes(bytes: number): void {
    const { zmqRepliesBytesMax: most } = this.#parts.options;
    if (bytes <= most) return;
    const message = `the reply would have ${bytes} bytes; at most ${most} are sent (--zmq-replies-bytes-max): send fewer texts at once`;
    throw new MillraceError("too_many_items", message);
  }

  #fieldsOf({ kind, list }: BertTexts): Readonly<Record<string, unknown>> {
    const { options } = this.#parts;
    const { bertMaxSeqLen: maxTokens, bertPoolingStrategy, bertMaskClsSep: maskSpecial } = options;
    const inputs =
      kind === "texts"
        ? list.map((text) => (typeof text === "string" ? pairOfText(text) : text))
        : list.map((tokens) => (typeof tokens === "string" ? tokens : pairOfTokens(tokens)));
    return {
      [kind]: inputs,
      pooling: poolings[bertPoolingStrategy],
      layer: options.bertPoolingLayer,
      // As the original: whoever wants unit vectors divides them.
      normalize: false,
      truncate: true,
      ...(maxTokens === 0 ? {} : { maxTokens }),
      ...(maskSpecial && isPooled(bertPoolingStrategy) ? { maskSpecial } : {}),
      ...(this.#needsTokens() ? { returnTokens: true } : {}),
    };
  }

  /** Where nothing is pooled the rows of special tokens are found by them. */
  #needsTokens(): boolean {
    const { bertShowTokensToClient, bertMaskClsSep, bertPoolingStrategy } = this.#parts.options;
    return bertShowTokensToClient || (bertMaskClsSep && bertPoolingStrategy === "NONE");
  }

  /** A key that may ask for one class only is not refused for the size of a request. */
  #classOf({ caller }: Asker, count: number): WorkClass | null {
    const wished = count < this.#parts.options.bertPriorityBatchSize ? "realtime" : "bulk";
    return caller.classes === null || caller.classes.includes(wished) ? wished : null;
  }

  #encodedOf(values: readonly Payload[], model: string): Encoded {
    const { bertShowTokensToClient, bertPoolingStrategy } = this.#parts.options;
    const rows = values.map(({ tensors, values: { tokens } }) => {
      const tensor = tensors["embedding"];
      if (!(tensor?.data instanceof tensorArrays.float32)) throw new Error("no embedding");
      return { data: tensor.data, shape: tensor.shape, tokens: textsOf(tokens) };
    });
    const tokens = bertShowTokensToClient ? rows.map((row) => row.tokens) : null;
    if (bertPoolingStrategy !== "NONE") return { ...stacked(rows), tokens };
    const own = rows.map(({ shape }) => shape[0] ?? 0);
    const length = Math.max(this.#rowTokens(model), ...own);
    this.#checkBytes(rows.length * length * (rows[0]?.shape.at(-1) ?? 0) * 4);
    const padded = { length, mask: this.#parts.options.bertMaskClsSep };
    return { ...stackedTokens(rows, padded), tokens };
  }

  /** How long rows are at least: as long as texts may be, where that is fixed. */
  #rowTokens(model: string): number {
    const { bertMaxSeqLen, bertFixedEmbedLength } = this.#parts.options;
    if (bertMaxSeqLen > 0) return bertMaxSeqLen;
    if (!bertFixedEmbedLength) return 0;
    const found = this.#parts.views.models().find(({ name }) => name === model);
    return found?.limits.inputTokensMax ?? 0;
  }
}

/** @throws MillraceError `bad_request` */
export function readBertTexts(value: unknown, bytes: number): BertTexts {
  if (!Array.isArray(value)) throw badTexts("the message must be a JSON list of texts");
  const list = value as readonly unknown[];
  const areLists = list.length > 0 && list.every((each) => Array.isArray(each));
  const kind = areLists ? "tokens" : "texts";
  const bad = areLists ? -1 : list.findIndex((each) => typeof each !== "string");
  if (bad !== -1)
    throw badTexts(`text ${bad} is neither a text nor, as all others, a list of tokens`);
  return { kind, list: list as BertTexts["list"], bytes };
}

/** All or nothing: the protocol has no word for one text that failed among others. */
function wholeOf({ outcomes }: Answer): Payload[] {
  return outcomes.map((outcome, index) => {
    if ("value" in outcome) return outcome.value;
    const { code, message } = outcome.error;
    throw new MillraceError(code, `text ${index}: ${message}`);
  });
}

function badTexts(message: string): MillraceError {
  return new MillraceError("bad_request", message, { param: "texts" });
}

function isPooled(strategy: BertPoolingStrategy): boolean {
  return strategy === "REDUCE_MEAN" || strategy === "REDUCE_MAX" || strategy === "REDUCE_MEAN_MAX";
}

function pairOfText(text: string): string | readonly [string, string] {
  const at = text.lastIndexOf(pairMark);
  return at === -1 ? text : [text.slice(0, at), text.slice(at + pairMark.length)];
}

function pairOfTokens(tokens: readonly unknown[]): readonly unknown[] {
  const at = tokens.indexOf(pairToken);
  return at === -1 ? tokens : [tokens.slice(0, at), tokens.slice(at + 1)];
}

interface Row {
  readonly data: Float32Array;
  readonly shape: readonly number[];
  readonly tokens: readonly string[];
}

function stacked(rows: readonly Row[]): Pick<Encoded, "data" | "shape"> {
  const width = rows[0]?.data.length ?? 0;
  const data = new Float32Array(rows.length * width);
  for (const [index, row] of rows.entries()) data.set(row.data, index * width);
  return { data, shape: [rows.length, width] };
}

/** Rows of as many tokens as the longest has; zeros stand behind those that have fewer. */
function stackedTokens(
  rows: readonly Row[],
  { length, mask }: { readonly length: number; readonly mask: boolean },
): Pick<Encoded, "data" | "shape"> {
  const width = rows[0]?.shape.at(-1) ?? 0;
  const data = new Float32Array(rows.length * length * width);
  for (const [index, row] of rows.entries()) {
    const at = index * length * width;
    data.set(row.data, at);
    if (!mask) continue;
    for (const place of specialPlaces(row.tokens)) {
      data.fill(0, at + place * width, at + (place + 1) * width);
    }
  }
  return { data, shape: [rows.length, length, width] };
}

/** The first token, the last one, and whatever is spelled as that: it ends the first text of a pair. */
function specialPlaces(tokens: readonly string[]): number[] {
  const end = tokens.at(-1);
  return tokens.flatMap((token, place) => (place === 0 || token === end ? [place] : []));
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
