/** The outcome of one input as JSON: the result's values, and its tensors as nested lists of numbers; or named tensors. */
import type { InputOutcome } from "../submit/submit.js";
import { float32Text } from "../work/float-text.js";
import type { Payload, Tensor } from "../work/payload.js";
import type { TaskForm } from "../work/task-form.js";
import { tensorDataParts } from "../work/tensor-json.js";
import { tensorsOf } from "../work/tensors.js";

/** An object, never an empty one: who writes it may put another field before it. */
export function resultJson(outcome: InputOutcome, form: TaskForm): string {
  if ("error" in outcome) return JSON.stringify({ error: outcome.error });
  if (form.tensors !== undefined) return namedJson(form.tensors.outputs, outcome.value);
  const { values, tensors } = outcome.value;
  const fields = Object.entries(values).map(([name, value]) =>
    fieldOf(name, JSON.stringify(value)),
  );
  for (const [name, tensor] of Object.entries(tensors)) fields.push(fieldOf(name, listOf(tensor)));
  return `{${fields.join(",")}}`;
}

/** Elements of a named tensor that become text at once, which takes some ten milliseconds. */
const namedElementsMax = 262_144;

/** Each by its name, with type and shape, and its data as a flat list. */
function namedJson(field: string, value: Payload): string {
  const each = tensorsOf(value).map((tensor) => {
    const { name, datatype, shape } = tensor;
    const head = JSON.stringify({ datatype, shape }).slice(0, -1);
    return fieldOf(
      name,
      `${head},"data":${[...tensorDataParts(tensor, namedElementsMax)].join("")}}`,
    );
  });
  return `{${fieldOf(field, `{${each.join(",")}}`)}}`;
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
