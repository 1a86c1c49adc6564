/**
 * A vocabulary shortlist: the tokens that a model may generate, chosen when it is converted, from a text of its target language. There
 * is one for all items. One for each batch, of the words in it, as Marian's lexical shortlist is, would make a result depend
 * on its neighbours.
 */
import { setImmediate } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import {
  type GenerationRules,
  type ShortlistFacts,
  shortlistTensor,
} from "../../models/manifest-generation.js";
import type { HuggingFaceTokenizer } from "../../prepare/text/huggingface-tokenizers.js";
import { candidatesNeeded } from "../../runtime/generation/search/search.js";
import { badTokens, generationLimits } from "../../work/generation.js";
import type { ShortlistText } from "../family.js";
import type { MarianConfig } from "./config.js";

export interface Shortlist {
  /** Ascending. */
  readonly ids: Int32Array;
  readonly facts: ShortlistFacts;
}

/** A text with fewer different tokens is a mistake: a wrong file, or a sample of some lines. */
const foundMin = 100;
const linesAtOnce = 500;

/**
 * What occurs often enough in the text, what the rules of generation name, and whatever spells: with single characters, digits
 * and punctuation the model can still say every word whose characters have pieces.
 *
 * Throws `option_invalid` where the text has too few tokens, and what `onProgress` throws.
 */
export async function chooseShortlist(
  text: ShortlistText,
  tokenizer: HuggingFaceTokenizer,
  config: Pick<MarianConfig, "decoderVocabularySize" | "generation">,
): Promise<Shortlist> {
  const { minCount, lines } = text;
  const counts = await countTokens(text, tokenizer, config.decoderVocabularySize);
  const found = [...counts.keys()].filter((id) => (counts[id] ?? 0) >= minCount);
  if (found.length < foundMin) throw tooFew(found.length, text);
  const ids = Int32Array.from(
    new Set([...found, ...ruledTokens(config.generation), ...spellingTokens(tokenizer)]),
  ).sort();
  checkCandidates(ids.length, config.generation);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const kept = ids.reduce((sum, id) => sum + (counts[id] ?? 0), 0);
  return {
    ids,
    facts: {
      tokens: ids.length,
      idsTensor: shortlistTensor,
      sentences: lines.length,
      minCount,
      coverage: kept / total,
    },
  };
}

async function countTokens(
  { lines, onProgress }: ShortlistText,
  tokenizer: HuggingFaceTokenizer,
  vocabulary: number,
): Promise<Float64Array> {
  const counts = new Float64Array(vocabulary);
  for (let from = 0; from < lines.length; from += linesAtOnce) {
    for (const line of lines.slice(from, from + linesAtOnce)) {
      for (const id of tokenizer.encode(line, { add_special_tokens: false }).ids) {
        counts[id] = (counts[id] ?? 0) + 1;
      }
    }
    onProgress(Math.min(1, (from + linesAtOnce) / lines.length));
    // The signal of an interrupt is heard here.
    await setImmediate();
  }
  return counts;
}

/** An output must be able to end, and the graph tells the engine how likely each token that can complete a bad word is. */
function ruledTokens(rules: GenerationRules): number[] {
  const { endTokenId, forcedEndTokenId, unknownTokenId, badWords } = rules;
  const named = [endTokenId, forcedEndTokenId, unknownTokenId].filter((id) => id !== null);
  return [...named, ...badTokens(badWords)];
}

/** A byte, as SentencePiece writes one that no other piece has. */
const bytePiece = /^<0x[\dA-F]{2}>$/;
const digitsAndMarks = /^[\p{N}\p{P}\p{S}]+$/u;

/** Pieces of one character at most, with or without a space before it, of bytes, and of digits and punctuation alone. */
function spellingTokens(tokenizer: HuggingFaceTokenizer): number[] {
  const spells = ([piece, id]: readonly [string, number]): boolean => {
    const said = tokenizer.decode([id], { skip_special_tokens: false }).trim();
    return Array.from(said).length <= 1 || digitsAndMarks.test(said) || bytePiece.test(piece);
  };
  return [...tokenizer.get_vocab()].filter(spells).map(([, id]) => id);
}

/** A step gives the engine so many candidates of each row: the search with most beams must find them. */
function checkCandidates(kept: number, rules: GenerationRules): void {
  const needed = candidatesNeeded(generationLimits.beamsMax, rules);
  if (kept >= needed) return;
  const message = `--shortlist keeps ${kept} tokens; with the forbidden words of this model a search may look at ${needed}`;
  throw new MillraceError("option_invalid", message);
}

function tooFew(found: number, { lines, minCount }: ShortlistText): MillraceError {
  const text = `${lines.length} sentences have ${found} different tokens, each at least ${minCount} times`;
  const message = `--shortlist: ${text}; it needs ${foundMin}, and some thousand sentences of the target language to be of use`;
  return new MillraceError("option_invalid", message);
}
