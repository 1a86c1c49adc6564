/**
 * The task `infer`: named tensors of any model → named tensors. A request is one input; where the model's first axis is free,
 * its rows become pieces that travel by themselves, and are joined again:
 *
 *   inputs [100, 3] ──► rows 0 … 63 ──► outputs [64, 2] ──┐
 *                  └──► rows 64 … 99 ─► outputs [36, 2] ──┴──► outputs [100, 2]
 */
import { MillraceError } from "millrace-client/wire";
import { programManifestOf, rowsMaxOf } from "../../models/engine-table.js";
import type { TensorsManifest } from "../../models/programs/manifest-tensors.js";
import { tensorsCost } from "../../models/programs/tensors-cost.js";
import type { ModelFolder } from "../../models/registry.js";
import { didYouMean } from "../../near-miss.js";
import type { JsonObject, Payload, Tensor } from "../../work/payload.js";
import type { Piece, PrepareStep } from "../../work/piece.js";
import { wrong } from "../../work/tensor-json.js";
import {
  bytesOf,
  joinRows,
  type NamedTensor,
  payloadOf,
  putTensor,
  RowReader,
  takeTensor,
} from "../../work/tensors.js";
import type { JoinParts, PrepareLimits, Task, TaskModel } from "../task.js";
import { acceptedTensors, fits } from "./accepted-tensors.js";
import { paramOf, placesOf, readTensors, type TensorsInput } from "./fields.js";
import { inferSchema } from "./schema.js";

export const inference: Task<TensorsInput> = {
  name: "infer",
  fields: ["inputs", "outputs"],
  tensors: { inputs: "inputs", outputs: "outputs" },
  schema: inferSchema,
  read: readTensors,
  async open({ manifest }: ModelFolder, limits: PrepareLimits) {
    return await Promise.resolve(new TensorsModel(programManifestOf(manifest, "tensors"), limits));
  },
};

/** A piece is moved and copied as one; more rows of this size are another piece. */
const pieceTensorBytesMax = 256 * 1024;

class TensorsModel implements TaskModel<TensorsInput> {
  readonly #manifest: TensorsManifest;
  readonly #rowsMax: number;
  /**
   * Rows may travel by themselves. That the graph lets its first axis free does not say so: whoever loaded it has tried, and
   * says it with each answer (work/tensors.ts). Until the first one, requests stay whole.
   */
  #splits: boolean;

  constructor(manifest: TensorsManifest, limits: PrepareLimits) {
    this.#manifest = manifest;
    const rowsMax = rowsMaxOf(manifest, { rowsMax: null, ...limits });
    this.#rowsMax = Math.min(rowsMax, manifest.limits.rowsMax ?? rowsMax);
    this.#splits = manifest.batch === "free" && manifest.batchDeclared;
  }

  complete(settings: JsonObject): JsonObject {
    const names = this.#manifest.outputs.map(({ name }) => name);
    const asked = settings["outputs"];
    if (!Array.isArray(asked)) return { outputs: names.map((_, place) => place) };
    const places = asked.map((name) => {
      const place = names.indexOf(String(name));
      if (place !== -1) return place;
      const param = paramOf(String(name)).replace(/^inputs/, "outputs");
      const of = { name: String(name), param };
      const near = didYouMean(of.name.slice(0, 256), names.slice(0, 64));
      throw wrong(
        of,
        `the model has no such output${near}; it has: ${names.slice(0, 8).join(", ")}`,
      );
    });
    if (new Set(places).size < places.length) {
      const message = "`outputs` names one twice.";
      throw new MillraceError("bad_request", message, { param: "outputs" });
    }
    return { outputs: places };
  }

  /** To copy a row takes a thousandth of what tokenising as many characters would. */
  weigh(input: TensorsInput): number {
    const bytes = input.reduce(
      (sum, given) => sum + ("tensor" in given ? bytesOf(given.tensor) : 0),
      0,
    );
    return bytes / 1_000;
  }

  *steps(
    input: TensorsInput,
    at: { readonly index: number; readonly settings: JsonObject },
  ): Generator<PrepareStep> {
    try {
      const found: NamedTensor[] = [];
      for (const tensor of acceptedTensors(input, this.#manifest.inputs)) {
        if (tensor !== null) found.push(tensor);
        yield { kind: "pause" };
      }
      yield* this.#pieces(found, placesOf(at.settings));
      yield { kind: "end", note: null };
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      yield { kind: "error", error: error.toWire() };
    }
  }

  *#pieces(list: readonly NamedTensor[], outputs: readonly number[]): Generator<PrepareStep> {
    if (this.#manifest.batch !== "free") {
      yield { kind: "piece", piece: this.#piece(list, outputs) };
      return;
    }
    const rows = sharedRows(list, this.#mayDiffer());
    if (!this.#splits) {
      yield { kind: "piece", piece: this.#piece(list, outputs) };
      return;
    }
    const bytes = list.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    const some = Math.floor(pieceTensorBytesMax / Math.max(1, bytes / rows));
    const rowsMax = Math.max(1, Math.min(this.#rowsMax, some));
    const readers = list.map((tensor) => new RowReader(tensor));
    for (let from = 0; from < rows; from += rowsMax) {
      const own = Math.min(rowsMax, rows - from);
      const part = rows <= rowsMax ? list : readers.map((reader) => reader.take(own));
      yield { kind: "piece", piece: this.#piece(part, outputs) };
    }
  }

  /**
   * Inputs may have other numbers of rows side by side where the graph has other names for them, as long as nobody said that
   * rows are apart; where they are, the pipeline refuses it.
   */
  #mayDiffer(): boolean {
    const names = new Set(this.#manifest.inputs.map(({ shape }) => shape?.[0]));
    return !this.#splits && names.size > 1;
  }

  #piece(list: readonly NamedTensor[], outputs: readonly number[]): Piece {
    const own: Record<string, Tensor> = {};
    for (const [place, tensor] of list.entries()) putTensor(own, place, tensor);
    const cost = tensorsCost(this.#manifest, list);
    return { payload: { values: { outputs }, tensors: own }, cost, note: null };
  }

  checkResult(value: Payload, settings: JsonObject): string | null {
    for (const place of placesOf(settings)) {
      const entry = this.#manifest.outputs[place];
      if (entry === undefined) return `the model has no output ${place}`;
      const tensor = takeTensor(value, place, entry);
      if (tensor === null) return `the model's answer has no ${entry.datatype} ${entry.name}`;
      if (fits(tensor.shape, entry)) continue;
      return `the model's answer has ${entry.name} of shape [${tensor.shape.join(", ")}], which the graph rules out`;
    }
    if (this.#manifest.batch === "free") this.#splits ||= value.values["rowsApart"] === true;
    return null;
  }

  join({ answers, settings }: JoinParts): Payload {
    const list = placesOf(settings).map((place) => {
      const entry = this.#manifest.outputs[place];
      const parts = answers.map((answer) =>
        entry === undefined ? null : takeTensor(answer, place, entry),
      );
      const whole = joinRows(parts.filter((part) => part !== null));
      if (whole !== null && entry !== undefined) return whole;
      const message = `output ${entry?.name ?? place} has rows of different shapes: say "batch": "none" in the folder's millrace.json`;
      throw new MillraceError("item_failed", message);
    });
    return payloadOf(list);
  }
}

/** @throws MillraceError `tensor_invalid` where one has none, or another number of them and may not. */
function sharedRows(list: readonly NamedTensor[], mayDiffer: boolean): number {
  const [first] = list;
  const rows = first?.shape[0] ?? 0;
  for (const { name, shape } of list) {
    const of = { name, param: paramOf(name) };
    if (shape[0] === 0) throw wrong(of, "it has no rows");
    if (shape[0] === rows || mayDiffer) continue;
    throw wrong(of, `it has ${shape[0] ?? 0} rows, ${JSON.stringify(first?.name)} has ${rows}`);
  }
  return rows;
}
