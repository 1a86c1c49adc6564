/**
 * What a few milliseconds of preparing gave, as columns: short sentences are many, and as objects each would hold some
 * four hundred bytes; as a row of these it holds about a hundred. Plain data, which a thread can send as it is.
 *
 *   portion   runs ──► [ values, batchKey, costs ▤▤▤▤, notes ▤▤▤▤, tensors: tokens ▤▤▤▤▤▤▤▤ ]   pieces of one form
 *             ends ──► after 3 pieces: note · after 3: error · after 7: note                      inputs that ended
 */
import { isDeepStrictEqual } from "node:util";
import type { WireError } from "millrace-client/wire";
import type { Cost } from "../work/cost.js";
import {
  type JsonObject,
  type JsonValue,
  type Payload,
  type Tensor,
  type TensorType,
  tensorArrays,
} from "../work/payload.js";
import type { Piece, PrepareStep } from "../work/piece.js";

export interface Portion {
  readonly runs: readonly PieceRun[];
  readonly ends: readonly InputEnd[];
  readonly pieces: number;
  /** The sum of their costs' bytes and of the ends', and what the columns hold themselves. */
  readonly bytes: number;
}

/** What the columns of a run hold beside the pieces' own. */
export const runBytes = 1024;

/** `after` so many pieces of the portion, those since the end before are one input's. */
export type InputEnd =
  | { readonly after: number; readonly note: JsonValue }
  | { readonly after: number; readonly error: WireError };

/** Pieces that differ in numbers only. */
export interface PieceRun {
  readonly values: JsonObject;
  readonly batchKey: string;
  readonly notes: readonly JsonValue[];
  /** Units, width, rows and bytes of each. */
  readonly costs: Float64Array;
  readonly tensors: readonly TensorColumn[];
}

interface TensorColumn {
  readonly name: string;
  readonly type: TensorType;
  readonly rank: number;
  /** So many sizes for each piece as the rank says. */
  readonly shapes: Uint32Array;
  /** Where each piece's bytes begin, and the end. */
  readonly places: Uint32Array;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const costColumns = 4;

/** Takes the steps as they come and gives them as a portion. */
export class PortionPacker {
  readonly #runs: PieceRun[] = [];
  /** The run that still grows. */
  #open: Piece[] = [];
  #form: Form | null = null;
  #ends: InputEnd[] = [];
  #pieces = 0;
  #bytes = 0;

  get pieces(): number {
    return this.#pieces;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get ends(): number {
    return this.#ends.length;
  }

  add(step: PrepareStep): void {
    switch (step.kind) {
      case "pause":
        return;
      case "piece":
        this.#addPiece(step.piece);
        return;
      case "end":
        this.#ends.push({ after: this.#pieces, note: step.note });
        this.#bytes += step.bytes ?? 0;
        return;
      case "error":
        this.#ends.push({ after: this.#pieces, error: step.error });
        return;
    }
  }

  /** What was added since the last time. */
  take(): Portion {
    this.#closeRun();
    const runs = this.#runs.splice(0);
    const bytes = this.#bytes + runs.length * runBytes;
    const portion = { runs, ends: this.#ends, pieces: this.#pieces, bytes };
    this.#ends = [];
    this.#pieces = 0;
    this.#bytes = 0;
    return portion;
  }

  #addPiece(piece: Piece): void {
    if (this.#form !== null && !hasForm(piece, this.#form)) this.#closeRun();
    this.#form ??= formOf(piece);
    this.#open.push(piece);
    this.#pieces += 1;
    this.#bytes += piece.cost.bytes;
  }

  #closeRun(): void {
    if (this.#form !== null) this.#runs.push(toRun(this.#open, this.#form));
    this.#form = null;
    this.#open = [];
  }
}

interface Form {
  readonly values: JsonObject;
  readonly batchKey: string;
  readonly tensors: readonly { readonly name: string; readonly first: Tensor }[];
}

function formOf({ payload, cost }: Piece): Form {
  const tensors = Object.entries(payload.tensors).map(([name, first]) => ({ name, first }));
  return { values: payload.values, batchKey: cost.batchKey, tensors };
}

function hasForm({ payload, cost }: Piece, { values, batchKey, tensors }: Form): boolean {
  if (cost.batchKey !== batchKey || !isDeepStrictEqual(payload.values, values)) return false;
  if (Object.keys(payload.tensors).length !== tensors.length) return false;
  return tensors.every(({ name, first }) => {
    const tensor = payload.tensors[name];
    return tensor?.type === first.type && tensor.shape.length === first.shape.length;
  });
}

function toRun(pieces: readonly Piece[], { values, batchKey, tensors }: Form): PieceRun {
  const costs = new Float64Array(pieces.length * costColumns);
  for (const [index, { cost }] of pieces.entries()) {
    costs.set([cost.units, cost.width, cost.rows, cost.bytes], index * costColumns);
  }
  return {
    values,
    batchKey,
    notes: pieces.map(({ note }) => note),
    costs,
    tensors: tensors.map(({ name, first }) =>
      toColumn(
        name,
        first,
        pieces.map(({ payload }) => payload.tensors[name] ?? first),
      ),
    ),
  };
}

function toColumn(name: string, first: Tensor, all: readonly Tensor[]): TensorColumn {
  const rank = first.shape.length;
  const shapes = new Uint32Array(all.length * rank);
  const places = new Uint32Array(all.length + 1);
  const bytes = new Uint8Array(all.reduce((sum, { data }) => sum + data.byteLength, 0));
  let place = 0;
  for (const [index, { shape, data }] of all.entries()) {
    shapes.set(shape, index * rank);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), place);
    place += data.byteLength;
    places[index + 1] = place;
  }
  return { name, type: first.type, rank, shapes, places, bytes };
}

/** The pieces of a portion, in order. Each holds the whole portion, and makes its payload anew when it is asked for it. */
export function* piecesOf({ runs }: Portion): Generator<Piece> {
  for (const run of runs) {
    for (let index = 0; index < run.notes.length; index += 1) yield new PackedPiece(run, index);
  }
}

class PackedPiece implements Piece {
  readonly #run: PieceRun;
  readonly #index: number;

  constructor(run: PieceRun, index: number) {
    this.#run = run;
    this.#index = index;
  }

  get payload(): Payload {
    const { values, tensors } = this.#run;
    const own = tensors.map((column) => [column.name, tensorAt(column, this.#index)]);
    return { values, tensors: Object.fromEntries(own) as Record<string, Tensor> };
  }

  get cost(): Cost {
    const { costs, batchKey } = this.#run;
    const from = this.#index * costColumns;
    const [units = 0, width = 0, rows = 0, bytes = 0] = costs.subarray(from, from + costColumns);
    return { units, width, rows, bytes, batchKey };
  }

  get note(): JsonValue {
    return this.#run.notes[this.#index] ?? null;
  }
}

function tensorAt({ type, rank, shapes, places, bytes }: TensorColumn, index: number): Tensor {
  const from = places[index] ?? 0;
  const until = places[index + 1] ?? from;
  const Elements = tensorArrays[type];
  const length = (until - from) / Elements.BYTES_PER_ELEMENT;
  const data = new Elements(bytes.buffer, bytes.byteOffset + from, length);
  return { type, shape: [...shapes.subarray(index * rank, (index + 1) * rank)], data };
}
