import type { ModelInfo } from "millrace-client/wire";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Asking } from "./asking.js";

interface FormProps {
  readonly model: ModelInfo;
  readonly isBusy: boolean;
  readonly onAsk: (asking: Asking) => void;
}

const examples: Readonly<Record<string, string>> = {
  translate: "Good morning.\nWhere is the station?",
  embed: "A cat sleeps on the sofa.\nA kitten naps on the couch.\nThe train is late.",
  classify: "I like it very much.",
  rerank: "Passports are renewed at the town hall.\nThe river is deep.",
};

/** Of the model's task. */
export function Form({ model, isBusy, onAsk }: FormProps): JSX.Element {
  const { task, name } = model;
  if (task === "ocr") return <PictureForm {...{ task, name, isBusy, onAsk }} />;
  if (task === "infer") return <TensorForm {...{ model, isBusy, onAsk }} />;
  // As everywhere: a model that reads texts has a limit of tokens.
  if (task === "classify" && model.limits.inputTokensMax === undefined)
    return <PictureForm {...{ task, name, isBusy, onAsk }} />;
  return <TextForm {...{ model, isBusy, onAsk }} />;
}

function TextForm({ model: { task, name: model }, isBusy, onAsk }: FormProps): JSX.Element {
  const [text, setText] = useState(examples[task] ?? "");
  const [query, setQuery] = useState("How do I renew a passport?");
  const submit = (event: Event): void => {
    event.preventDefault();
    const texts = text.split("\n").filter((line) => line.trim() !== "");
    if (texts.length === 0) return;
    if (task === "rerank") onAsk({ task, model, query, texts });
    else if (task === "translate" || task === "embed" || task === "classify")
      onAsk({ task, model, texts });
  };
  return (
    <form onSubmit={submit}>
      {task === "rerank" && (
        <label class="field">
          Query
          <input
            dir="auto"
            value={query}
            onInput={(event) => setQuery(event.currentTarget.value)}
          />
        </label>
      )}
      <label class="field">
        Texts, one a line
        <textarea
          rows={4}
          dir="auto"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={isBusy}>
        {isBusy ? "Asking" : "Ask"}
      </button>
    </form>
  );
}

interface PictureProps {
  readonly task: "ocr" | "classify";
  readonly name: string;
  readonly isBusy: boolean;
  readonly onAsk: FormProps["onAsk"];
}

function PictureForm({ task, name: model, isBusy, onAsk }: PictureProps): JSX.Element {
  const [isOver, setOver] = useState(false);
  const [shown, setShown] = useState<ShownPicture | null>(null);
  useEffect(() => {
    // Beside its place a browser would leave this page for the picture.
    addEventListener("dragover", keepPage);
    addEventListener("drop", keepPage);
    return () => {
      removeEventListener("dragover", keepPage);
      removeEventListener("drop", keepPage);
    };
  }, []);
  useEffect(() => () => URL.revokeObjectURL(shown?.url ?? ""), [shown]);
  const take = (file: File | undefined): void => {
    if (file === undefined) return;
    setShown({ url: URL.createObjectURL(file), name: file.name, isSeen: true });
    onAsk({ task, model, picture: file });
  };
  return (
    <div
      class={`drop ${isOver ? "over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (!isBusy) take(event.dataTransfer?.files[0]);
      }}
    >
      <label class="field">
        {isBusy ? "It is read." : "Drop a picture here, or choose one"}
        <input
          type="file"
          accept="image/*"
          disabled={isBusy}
          onChange={(event) => {
            const { currentTarget: input } = event;
            take(input.files?.[0]);
            // So that the same one can be chosen again.
            input.value = "";
          }}
        />
      </label>
      {shown !== null && (
        <figure>
          {shown.isSeen && (
            <img
              src={shown.url}
              alt="What was sent"
              onError={() => setShown({ ...shown, isSeen: false })}
            />
          )}
          <figcaption dir="auto">{shown.name}</figcaption>
        </figure>
      )}
    </div>
  );
}

interface ShownPicture {
  readonly url: string;
  readonly name: string;
  /** False: the browser can make nothing of it. */
  readonly isSeen: boolean;
}

function keepPage(event: DragEvent): void {
  event.preventDefault();
}

function TensorForm({
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
      setProblem(error instanceof Error ? error.message : String(error));
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
