/** The outcome of one input as JSON: the result's values, and its tensors as nested lists of numbers; or named tensors. */
import type { InputOutcome } from "../submit/submit.js";
import { float32Text } from "../work/float-text.js";
import type { Payload, Tensor } from "../work/payload.js";
import type { TaskForm } from "../work/task-form.js";
import { tensorDataParts } from "../work/tensor-json.js";
import { tensorsOf } from "../work/tensors.js";

/** Elements of a tensor of which a step makes text. */
const stepElements = 1_024;

/** An object, never an empty one: who writes it may put another field before it. In steps, for it may be long. */
export function* resultSteps(outcome: InputOutcome, form: TaskForm): Generator<undefined, string> {
  if ("error" in outcome) return JSON.stringify({ error: outcome.error });
  if (form.tensors !== undefined) return yield* namedSteps(form.tensors.outputs, outcome.value);
  const { values, tensors } = outcome.value;
  const fields = Object.entries(values).map(([name, value]) =>
    fieldOf(name, JSON.stringify(value)),
  );
  for (const [name, tensor] of Object.entries(tensors)) {
    fields.push(fieldOf(name, yield* listSteps(tensor)));
  }
  return `{${fields.join(",")}}`;
}

/** Elements of a named tensor that may be sent as JSON. */
const namedElementsMax = 262_144;

/** Each by its name, with type and shape, and its data as a flat list. */
function* namedSteps(field: string, value: Payload): Generator<undefined, string> {
  const each: string[] = [];
  for (const tensor of tensorsOf(value)) {
    const { name, datatype, shape } = tensor;
    const head = JSON.stringify({ datatype, shape }).slice(0, -1);
    const data: string[] = [];
    for (const part of tensorDataParts(tensor, namedElementsMax)) {
      data.push(part);
      if (data.length % 2 === 0 && part.length > stepElements) yield;
    }
    each.push(fieldOf(name, `${head},"data":${data.join("")}}`));
  }
  return `{${fieldOf(field, `{${each.join(",")}}`)}}`;
}

function fieldOf(name: string, json: string): string {
  return `${JSON.stringify(name)}:${json}`;
}

function* listSteps({ data, shape, type }: Tensor): Generator<undefined, string> {
  const write = type === "float32" ? float32Text : type === "float64" ? numberText : String;
  let at = 0;
  let paused = 0;
  function* nested(depth: number): Generator<undefined, string> {
    const parts: string[] = [];
    for (let index = 0; index < (shape[depth] ?? 0); index += 1) {
      if (depth + 1 < shape.length) {
        parts.push(yield* nested(depth + 1));
        if (at - paused < stepElements) continue;
        paused = at;
        yield;
      } else {
        parts.push(write(Number(data[at] ?? 0)));
        at += 1;
      }
    }
    return `[${parts.join(",")}]`;
  }
  return yield* nested(0);
}

/** JSON has no word for what is no finite number. */
function numberText(value: number): string {
  return Number.isFinite(value) ? String(value) : "null";
}
