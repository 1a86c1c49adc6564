/** What transformers gives for English sentences, and the human Chinese: 200 rows in the checkout, 1,000 beside it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sharedPath } from "./shared-data.js";

export interface ReferenceResult {
  readonly ids: readonly number[];
  readonly text: string;
  readonly score: number;
}

export interface ReferenceRow {
  readonly source: string;
  readonly human: string;
  readonly input_ids: readonly number[];
  readonly greedy: ReferenceResult;
  readonly beam4: ReferenceResult;
}

/** A row of the checkout says as well what the bundled int8 model gives. */
export interface CommittedRow extends ReferenceRow {
  readonly int8: { readonly greedy: readonly number[]; readonly beam4: readonly number[] };
}

export interface CommittedRows {
  /** The kind of processor on which the int8 results were made; see `floatKernels`. */
  readonly kernels: string;
  readonly rows: readonly CommittedRow[];
}

/** Needs ../shared. */
export function readReference(): readonly ReferenceRow[] {
  const path = sharedPath("models", "en-zh", "reference.json");
  const { rows } = JSON.parse(readFileSync(path, "utf8")) as { rows: ReferenceRow[] };
  return rows;
}

export function readCommittedRows(): CommittedRows {
  const { head, rows } = readLines<CommittedRow>("en-zh.jsonl");
  return { kernels: String(head["kernels"]), rows };
}

/** A file of test/fixtures: a line that says what it is, and a row on each of the others. */
export function readLines<Row>(name: string): {
  readonly head: Readonly<Record<string, unknown>>;
  readonly rows: readonly Row[];
} {
  const text = readFileSync(join(process.cwd(), "test", "fixtures", name), "utf8");
  const [first = "{}", ...rest] = text.trimEnd().split("\n");
  const head = JSON.parse(first) as Record<string, unknown>;
  return { head, rows: rest.map((line) => JSON.parse(line) as Row) };
}

/**
 * Which of ONNX Runtime's float kernels this processor gets. Products in int8 are exact everywhere; attention, softmax
 * and LayerNorm sum floats in the order of the kernel, and a last digit can round an int8 input the other way.
 */
export function floatKernels(): string {
  if (process.platform !== "linux") return `${process.platform} ${process.arch}`;
  const flags = new Set(readFileSync("/proc/cpuinfo", "utf8").split(/\s+/));
  const found = ["avx512f", "avx2", "avx"].find((flag) => flags.has(flag));
  return [process.arch, ...(found === undefined ? [] : [found])].join(" ");
}
