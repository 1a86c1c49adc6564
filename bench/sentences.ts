/** What the benchmarks translate: a file of sentences, one a line, or those that come with the project. */
import { readFileSync } from "node:fs";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { readLines, takeLines } from "./serving/lines.js";

export interface Sentence {
  readonly text: string;
  readonly tokenIds: readonly number[];
}

/** `count` sentences; a file that has fewer is read again from its start. Nothing here or in Millrace caches. */
export function readSentences(file: string, tokenizerPath: string, count: number): Sentence[] {
  const lines = takeLines(readLines(file), 0, count);
  const json = JSON.parse(readFileSync(tokenizerPath, "utf8")) as object;
  const tokenizer = createTokenizer(json, { clean_up_tokenization_spaces: false });
  return lines.map((text) => ({ text, tokenIds: tokenizer.encode(text).ids }));
}
