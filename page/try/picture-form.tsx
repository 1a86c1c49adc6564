import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { FormProps } from "./form.js";

interface PictureProps {
  readonly task: "ocr" | "classify";
  readonly name: string;
  readonly isBusy: boolean;
  readonly onAsk: FormProps["onAsk"];
}

/** A picture that is dropped or chosen, and asked about at once. */
export function PictureForm({ task, name: model, isBusy, onAsk }: PictureProps): JSX.Element {
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
