/**
 * What a tokenizer puts around a text, and around a pair of texts:
 *
 *   single   [CLS] text [SEP]                  pair   [CLS] first [SEP] second [SEP]
 *                                              types    0     0     0     1      1      where the model tells them apart
 *
 * Found by looking at what it makes of two short texts. With it the texts are tokenised one by one: long ones in parts,
 * each only as far as the model takes it, and an empty second text is a text like any other.
 */
import { MillraceError } from "millrace-client/wire";
import type { HuggingFaceTokenizer } from "./huggingface-tokenizers.js";

/** Ids, and the type of each. */
interface Slot {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

interface Frame {
  /** One more than there are texts. */
  readonly slots: readonly Slot[];
  /** Of the tokens of each text. */
  readonly textTypes: readonly number[];
}

export interface FramedTokens {
  readonly tokens: Int32Array;
  /** Null where all are of type 0. */
  readonly types: Int32Array | null;
  /** Where the special tokens stand, in rising order. */
  readonly special: Int32Array;
}

export class SpecialTokens {
  readonly #single: Frame;
  readonly #pair: Frame;
  readonly #ids: ReadonlySet<number>;

  constructor(frames: { readonly single: Frame; readonly pair: Frame }) {
    this.#single = frames.single;
    this.#pair = frames.pair;
    const slots = [...frames.single.slots, ...frames.pair.slots];
    this.#ids = new Set(slots.flatMap(({ ids }) => ids));
  }

  /** Of ids that came framed, where those stand that are put around texts. */
  placesIn(ids: readonly number[]): Int32Array {
    return Int32Array.from(ids.flatMap((id, place) => (this.#ids.has(id) ? [place] : [])));
  }

  /** How many stand around so many texts, one or two. */
  count(texts: number): number {
    return this.#frameOf(texts).slots.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  /** Puts them around the ids of one text, or of two. */
  around(texts: readonly (readonly number[])[]): FramedTokens {
    const { slots, textTypes } = this.#frameOf(texts.length);
    const length = this.count(texts.length) + texts.reduce((sum, ids) => sum + ids.length, 0);
    const tokens = new Int32Array(length);
    const types = new Int32Array(length);
    const special: number[] = [];
    let at = 0;
    for (const [index, slot] of slots.entries()) {
      tokens.set(slot.ids, at);
      types.set(slot.types, at);
      for (const _ of slot.ids) {
        special.push(at);
        at += 1;
      }
      const ids = texts[index];
      if (ids === undefined) continue;
      tokens.set(ids, at);
      types.fill(textTypes[index] ?? 0, at, at + ids.length);
      at += ids.length;
    }
    const told = types.some((type) => type !== 0) ? types : null;
    return { tokens, types: told, special: Int32Array.from(special) };
  }

  #frameOf(texts: number): Frame {
    return texts === 2 ? this.#pair : this.#single;
  }
}

export interface TextFrame {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Of a text that is alone: of a tokenizer too that knows no pairs. */
export function findTextFrame(tokenizer: HuggingFaceTokenizer): TextFrame {
  const { ids } = tokenizer.encode("a", { add_special_tokens: false });
  const { slots } = frameOf(tokenizer.encode("a", { return_token_type_ids: true }), [ids]);
  return { before: slots[0]?.ids ?? [], after: slots[1]?.ids ?? [] };
}

export function findSpecialTokens(tokenizer: HuggingFaceTokenizer): SpecialTokens {
  const [first, second] = ["a", "b"].map((text) => {
    return tokenizer.encode(text, { add_special_tokens: false }).ids;
  });
  if (first === undefined || second === undefined) throw unclear();
  const types = { return_token_type_ids: true };
  return new SpecialTokens({
    single: frameOf(tokenizer.encode("a", types), [first]),
    pair: frameOf(tokenizer.encode("a", { ...types, text_pair: "b" }), [first, second]),
  });
}

/** The first text is looked for from the front, the second from the end. */
function frameOf(
  { ids, token_type_ids: types = [] }: ReturnType<HuggingFaceTokenizer["encode"]>,
  texts: readonly (readonly number[])[],
): Frame {
  const [first = [], second] = texts;
  const places = [placesOf(ids, first)[0]];
  if (second !== undefined) places.push(placesOf(ids, second).at(-1));
  const slots: Slot[] = [];
  const textTypes: number[] = [];
  let from = 0;
  for (const [index, place] of places.entries()) {
    const length = texts[index]?.length ?? 0;
    if (place === undefined || place < from || length === 0) throw unclear();
    slots.push({ ids: ids.slice(from, place), types: types.slice(from, place) });
    textTypes.push(types[place] ?? 0);
    from = place + length;
  }
  slots.push({ ids: ids.slice(from), types: types.slice(from) });
  return { slots, textTypes };
}

function placesOf(ids: readonly number[], wanted: readonly number[]): readonly number[] {
  return ids.flatMap((_, at) => (wanted.every((id, index) => ids[at + index] === id) ? [at] : []));
}

function unclear(): MillraceError {
  const message = "the tokenizer does not say where its special tokens stand";
  return new MillraceError("model_folder_invalid", message);
}
