import type { JsonObject } from "./payload.js";

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
  /** The tensor that a result is, where it is nothing but rows of numbers. */
  readonly rows?: string;
  /** For the description of its route. */
  readonly schema?: TaskSchema;
}
