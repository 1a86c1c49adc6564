/** What the fuzzer knows of a parser: how an input of it is made of chance, and how it takes one. */
import type { Random } from "../sim/random.js";

export interface FuzzParser<Input = unknown> {
  readonly name: string;
  /** Of a file that is opened when a model is loaded, and never for a caller: it may take longer than one input of a stranger. */
  readonly msMax?: number;
  /** What it needs, in a folder of its own; called once. */
  readonly open: (dir: string) => Promise<OpenParser<Input>> | OpenParser<Input>;
}

export interface OpenParser<Input = unknown> {
  /** The same chance makes the same input. Some are good, most were good before something was changed. */
  readonly make: (random: Random) => Input;
  /** Ends, or throws a MillraceError: whatever else leaves it is a defect. */
  readonly take: (input: Input) => void | Promise<void>;
}

/** From here on nobody knows what its inputs are: who takes one has it from `make`. */
export function defineParser<Input>(parser: FuzzParser<Input>): FuzzParser {
  return parser as FuzzParser;
}

/** Before each input as it is: without good ones nobody knows whether what is refused is refused for a reason. */
export const goodShare = 0.05;
