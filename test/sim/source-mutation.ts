import type { Focus } from "./focus.js";
import type { Rule } from "./rules.js";

export interface SourceMutation {
  /** What the room does then. */
  readonly name: string;
  /** The compiled file, under `dist`. */
  readonly file: string;
  /** Exactly once in it. */
  readonly find: string;
  readonly replace: string;
  readonly rule: Rule;
  /** Where only a rare schedule shows it: plans that are made of such. */
  readonly focus?: Focus;
}
