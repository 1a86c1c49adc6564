import type { EmbedOutcome } from "millrace-client/wire";
import type { JSX } from "preact";
import { More } from "../parts/opened.js";
import type { Outcomes } from "./results.js";
import { Words } from "./words.js";

const comparedMax = 12;

/** How near each two are. */
export function Cosines({ texts, outcomes }: Outcomes<EmbedOutcome>): JSX.Element {
  const compared = outcomes.slice(0, comparedMax);
  const shown = compared.map((outcome) => vectorOf(outcome));
  const [width] = shown.flatMap((vector) => (vector === null ? [] : [vector.length]));
  return (
    <div class="scroll">
      <table class="cosines">
        <caption>
          Cosine of each two{width === undefined ? "" : `; vectors of ${width} numbers`}
        </caption>
        <thead>
          <tr>
            <td />
            {shown.map((_, at) => (
              <th key={at} scope="col" class="number" title={texts[at]}>
                {at + 1}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((left, row) => (
            <tr key={row}>
              <th scope="row">
                {row + 1} <Words of={texts[row]} />
              </th>
              {shown.map((right, column) => {
                const cosine = left === null || right === null ? null : cosineOf(left, right);
                return (
                  <td
                    key={column}
                    class="number"
                    style={{ "--near": Math.max(0, cosine ?? 0).toFixed(3) }}
                  >
                    {cosine === null ? "–" : cosine.toFixed(2).replace("-0.00", "0.00")}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <More shown={compared} of={outcomes.length} isOpen={false} onTurn={null} what="the texts" />
    </div>
  );
}

/** Null where there is none, or one for each token. */
function vectorOf(outcome: EmbedOutcome): readonly number[] | null {
  if ("error" in outcome || typeof outcome.embedding === "string") return null;
  const numbers = outcome.embedding.filter((each) => typeof each === "number");
  return numbers.length === outcome.embedding.length ? numbers : null;
}

function cosineOf(left: readonly number[], right: readonly number[]): number {
  let [dot, leftSquares, rightSquares] = [0, 0, 0];
  for (const [at, value] of left.entries()) {
    const other = right[at] ?? 0;
    dot += value * other;
    leftSquares += value * value;
    rightSquares += other * other;
  }
  return dot / Math.sqrt(leftSquares * rightSquares);
}
