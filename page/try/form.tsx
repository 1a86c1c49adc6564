/** What a model is asked with: a form of its task. */
import type { ModelInfo } from "millrace-client/wire";
import type { JSX } from "preact";
import type { Asking } from "./asking.js";
import { PictureForm } from "./picture-form.js";
import { TensorForm } from "./tensor-form.js";
import { TextForm } from "./text-form.js";

export interface FormProps {
  readonly model: ModelInfo;
  readonly isBusy: boolean;
  readonly onAsk: (asking: Asking) => void;
}

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
