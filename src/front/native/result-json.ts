/** The outcome of one input as JSON: the result's values, and its tensors as nested lists of numbers. */
import type { InputOutcome } from "../../submit/submit.js";
import type { Tensor } from "../../work/payload.js";
import { float32Text } from "./float-text.js";

/** An object, never an empty one: who writes it may put another field before it. */
export function resultJson(outcome: InputOutcome): string {
  if ("error" in outcome) return JSON.stringify({ error: outcome.error });
  const { values, tensors } = outcome.value;
  const fields = Object.entries(values).map(([name, value]) =>
    fieldOf(name, JSON.stringify(value)),
  );
  for (const [name, tensor] of Object.entries(tensors)) fields.push(fieldOf(name, listOf(tensor)));
  return `{${fields.join(",")}}`;
}

function fieldOf(name: string, json: string): string {
  return `${JSON.stringify(name)}:${json}`;
}

function listOf({ data, shape, type }: Tensor): string {
  const write = type === "float32" ? float32Text : type === "float64" ? numberText : String;
  let at = 0;
  const nested = (depth: number): string => {
    const parts: string[] = [];
    for (let index = 0; index < (shape[depth] ?? 0); index += 1) {
      if (depth + 1 < shape.length) parts.push(nested(depth + 1));
      else {
        parts.push(write(Number(data[at] ?? 0)));
        at += 1;
      }
    }
    return `[${parts.join(",")}]`;
  };
  return nested(0);
}

/** JSON has no word for what is no finite number. */
function numberText(value: number): string {
  return Number.isFinite(value) ? String(value) : "null";
}
