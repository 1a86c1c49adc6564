import type { ModelInfo } from "millrace-client/wire";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
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
  if (task === "classify")
    return (
      <>
        <TextForm {...{ model, isBusy, onAsk }} />
        <details>
          <summary>A picture instead, where the model takes pictures</summary>
          <PictureForm {...{ task, name, isBusy, onAsk }} />
        </details>
      </>
    );
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
          <input value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
        </label>
      )}
      <label class="field">
        Texts, one a line
        <textarea rows={4} value={text} onInput={(event) => setText(event.currentTarget.value)} />
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
  const [shown, setShown] = useState<string | null>(null);
  const take = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    if (shown !== null) URL.revokeObjectURL(shown);
    setShown(URL.createObjectURL(file));
    onAsk({ task, model, picture: { name: file.name, base64: await base64Of(file) } });
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
        void take(event.dataTransfer?.files[0]);
      }}
    >
      <label class="field">
        {isBusy ? "It is read." : "Drop a picture here, or choose one"}
        <input
          type="file"
          accept="image/*"
          disabled={isBusy}
          onChange={(event) => void take(event.currentTarget.files?.[0])}
        />
      </label>
      {shown !== null && <img src={shown} alt="What was sent" />}
    </div>
  );
}

async function base64Of(file: File): Promise<string> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8_192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(text);
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
      onAsk({ task: "infer", model, inputs: { ...read } });
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
        Tensors by name, as JSON
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

/** Zeros, of a shape that the model takes; small ones only. */
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
          data: Array.from({ length: Math.min(count, exampleElementsMax) }, () => element),
        },
      ];
    }),
  );
}
