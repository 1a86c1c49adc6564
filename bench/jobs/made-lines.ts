/** Sentences that are all different, so that a result at the wrong line shows. */
import { Random } from "../../test/sim/random.js";

const words =
  "the boat harbour morning letter station people water small green open wait carry write between market window quiet road paper".split(
    " ",
  );

/** The same for the same seed and line, whatever was asked before. */
export function madeLine(seed: number, line: number): string {
  const random = new Random(seed * 1_000_003 + line);
  const chosen = Array.from({ length: random.int(4, 12) }, () => random.pick(words));
  return `Number ${line} of ${chosen.join(" ")}.`;
}

export function madeLines(seed: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, line) => madeLine(seed, line));
}

/** As lines of a job, in pieces of some kilobytes. */
export function* jobLines(texts: Iterable<string>): Generator<Buffer> {
  let piece: string[] = [];
  for (const text of texts) {
    piece.push(`${JSON.stringify(text)}\n`);
    if (piece.length < linesOfPiece) continue;
    yield Buffer.from(piece.join(""));
    piece = [];
  }
  if (piece.length > 0) yield Buffer.from(piece.join(""));
}

const linesOfPiece = 512;
