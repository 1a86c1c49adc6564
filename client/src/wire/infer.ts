/**
 * The messages of `POST /v1/infer`: named tensors in, named tensors out, for a model that is any ONNX graph. A request is one
 * input, hence has one result; where the model's first axis is free, it may have as many rows as it likes.
 */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";
import type { TensorContent, TensorDatatype } from "./tensors.js";

export interface InferTensor {
  /** Default: the model's. Another one is refused, never converted. */
  readonly datatype?: TensorDatatype;
  /** Default: as the data are nested. */
  readonly shape?: readonly number[];
  readonly data: TensorContent;
}

export interface InferRequest extends RequestFields {
  /** Every input of the model, by its name; nested lists stand for a tensor without further words. */
  readonly inputs: Readonly<Record<string, InferTensor | TensorContent>>;
  /** Names of the outputs that are wanted. Default: all. */
  readonly outputs?: readonly string[];
}

export interface InferOutput {
  readonly datatype: TensorDatatype;
  readonly shape: readonly number[];
  /** Flat, in row-major order; `null` where a number is not finite, for which JSON has no word. */
  readonly data: readonly (number | boolean | string | null)[];
}

export interface InferResult {
  readonly outputs: Readonly<Record<string, InferOutput>>;
}

export type InferOutcome = InferResult | ItemError;

export interface InferResponse extends ReplySummary {
  /** One. */
  readonly results: readonly InferOutcome[];
}

export type InferLine = ReplyLine<InferOutcome>;
