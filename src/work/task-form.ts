import type { ModelInfo, ModelTensor } from "millrace-client/wire";
import type { JsonObject, Payload } from "./payload.js";
import type { NamedTensor } from "./tensors.js";

/** JSON Schema, draft 2020-12. */
export interface TaskSchema {
  /** Each of the task's fields. */
  readonly fields: Readonly<Record<string, JsonObject>>;
  /** Those that every request has. */
  readonly required: readonly string[];
  /** Those of which it has exactly one. */
  readonly oneOf?: readonly string[];
  /** Of one input, in JSON. */
  readonly result: JsonObject;
  /** Of a request, for readers; only the task's fields. */
  readonly example: JsonObject;
}

/** What everybody may know of a task: enough for a route of its own, and for a good word about a typing mistake. */
export interface TaskForm {
  /** The fields of a request that only this task reads. */
  readonly fields: readonly string[];
  /** The field that takes whole files (bytes, or base64 where the protocol is JSON), and of which media types. */
  readonly files?: { readonly field: string; readonly mediaTypes: readonly string[] };
  /**
   * The fields that take named tensors, and the names of those that are wanted; a result is named tensors then (tensors.ts).
   * In JSON they stand under `outputs` again.
   */
  readonly tensors?: { readonly inputs: string; readonly outputs: string };
  /** How a task that takes something else looks where everything is tensors. */
  readonly tensorView?: TensorView;
  /**
   * A request's own fields, for whoever wants to know early what is wrong with them. Left out: whoever asks finds out.
   *
   * @throws MillraceError `bad_request` among others, each with the field as `param`
   */
  read?(
    fields: Readonly<Record<string, unknown>>,
    limits: { readonly requestInputsMax: number },
  ): unknown;
  /** The tensor that a result is, where it is nothing but rows of numbers. */
  readonly rows?: string;
  /** For the description of its route. */
  readonly schema?: TaskSchema;
}

/** A row of the tensors that come is an input, and its result a row of those that go. */
export interface TensorView {
  /** What a caller may set by the names of the task's fields, beside the tensors. */
  readonly settings: readonly string[];
  /** Its `BYTES` are files, and no texts; in JSON they are base64. Left out: never. */
  takesFiles?(model: ModelInfo): boolean;
  /** Of one of the task's models; -1: any size. */
  inputs(model: ModelInfo): readonly ModelTensor[];
  outputs(model: ModelInfo): readonly ModelTensor[];
  /** The task's own fields. @throws MillraceError `tensor_invalid`, `bad_encoding` */
  fieldsOf(inputs: readonly NamedTensor[]): Readonly<Record<string, unknown>>;
  /** Of the results of all rows, in order; at least one. @throws MillraceError where they have no common shape. */
  tensorsOf(results: readonly Payload[]): readonly NamedTensor[];
}
