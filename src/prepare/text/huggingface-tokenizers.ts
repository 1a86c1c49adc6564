/**
 * The part of `@huggingface/tokenizers` that Millrace uses. The library's own declarations do not compile
 * under `nodenext` (their imports lack extensions), so it is loaded past the compiler and described here.
 */
import { createRequire } from "node:module";

export interface HuggingFaceTokenizer {
  encode(text: string): { readonly ids: number[] };
  /** Throws where the list is empty. */
  decode(tokenIds: readonly number[], options: { readonly skip_special_tokens: boolean }): string;
  get_vocab(): Map<string, number>;
}

interface HuggingFaceTokenizers {
  readonly Tokenizer: new (tokenizerJson: object, tokenizerConfig: object) => HuggingFaceTokenizer;
}

const load = createRequire(import.meta.url) as (name: string) => unknown;

export function createTokenizer(
  tokenizerJson: object,
  tokenizerConfig: object,
): HuggingFaceTokenizer {
  const { Tokenizer } = load("@huggingface/tokenizers") as HuggingFaceTokenizers;
  return new Tokenizer(tokenizerJson, tokenizerConfig);
}
