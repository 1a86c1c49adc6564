import type { ModelInfo } from "millrace-client/wire";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { messageOf } from "../thrown.js";
import type { FormProps } from "./form.js";

/** Tensors by name, as JSON. */
export function TensorForm({
  model: { name: model, inputs = [] },
  isBusy,
  onAsk,
}: FormProps): JSX.Element {
  const [text, setText] = useState(() => JSON.stringify(exampleOf(inputs), null, 2));
  const [problem, setProblem] = useState<string | null>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    try {
      const read: unknown = JSON.parse(text);
      if (typeof read !== "object" || read === null || Array.isArray(read))
        throw new Error("It must be an object: a tensor for each name.");
      setProblem(null);
      onAsk({ task: "infer", model, inputs: filled({ ...read }) });
    } catch (error) {
      setProblem(messageOf(error));
    }
  };
  return (
    <form onSubmit={submit}>
      <p class="note">
        {inputs
          .map(({ name, datatype, shape }) => `${name}: ${datatype} [${shape.join(", ")}]`)
          .join(" · ")}
      </p>
      <label class="field">
        Tensors by name, as JSON; a single number stands for all that the shape has room for
        <textarea
          rows={6}
          class="code"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      {problem !== null && <p class="reason">{problem}</p>}
      <button type="submit" disabled={isBusy}>
        {isBusy ? "Asking" : "Ask"}
      </button>
    </form>
  );
}

const exampleElementsMax = 64;
/** Of a tensor that is filled; a body is bounded anyhow. */
const filledElementsMax = 4_000_000;

/** Where one element is given for many. */
function filled(inputs: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => {
      if (typeof tensor !== "object" || tensor === null) return [name, tensor];
      const { shape, data } = tensor as { readonly shape?: unknown; readonly data?: unknown };
      if (!Array.isArray(shape) || !Array.isArray(data) || data.length !== 1) return [name, tensor];
      const count = shape.reduce((product: number, size) => product * Number(size), 1);
      if (!(count > 1 && count <= filledElementsMax)) return [name, tensor];
      return [name, { ...tensor, data: Array.from({ length: count }, () => data[0] as unknown) }];
    }),
  );
}

/** Zeros, of a shape that the model takes; of a large one a single zero stands for all. */
function exampleOf(inputs: NonNullable<ModelInfo["inputs"]>): Record<string, unknown> {
  return Object.fromEntries(
    inputs.map(({ name, datatype, shape }) => {
      const sizes = shape.map((size) => Math.max(1, size));
      const count = sizes.reduce((product, size) => product * size, 1);
      const element = datatype === "BYTES" ? "" : datatype === "BOOL" ? false : 0;
      return [
        name,
        {
          shape: sizes,
          data: Array.from({ length: count > exampleElementsMax ? 1 : count }, () => element),
        },
      ];
    }),
  );
}
