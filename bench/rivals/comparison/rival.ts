/** READ FIRST of this folder. Whom Millrace is compared with. */
import type { SentenceSet } from "../sentences.js";
import type { Translator } from "../turn.js";
import type { RivalLayout } from "./case-spec.js";

export interface Rival {
  /** For people. */
  readonly name: string;
  /** What it answers with: texts can be held against Millrace's. */
  readonly outputs: "texts" | "pieces";
  /** `dir`: for whatever it writes. */
  start(layout: RivalLayout, set: SentenceSet, dir: string): Promise<Translator>;
}
