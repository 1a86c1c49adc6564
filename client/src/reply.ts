/**
 * What came back, held against the wire's types before anybody reads it: an address may lead anywhere, and a
 * proxy may answer in the server's place.
 */
import type { Arrival, Task } from "./task.js";
import {
  errorRegistry,
  type ItemError,
  isErrorCode,
  MillraceError,
  type ReplySummary,
} from "./wire/index.js";

export type LineRead<Result extends object> =
  | ({ readonly kind: "outcome" } & Arrival<Result>)
  | { readonly kind: "done"; readonly summary: ReplySummary }
  | { readonly kind: "failed"; readonly error: MillraceError };

/** One line of a stream. Throws `response_invalid`. */
export function readLine<Result extends object>(
  task: Task<Result>,
  value: unknown,
): LineRead<Result> {
  if (!isRecord(value)) throw invalidLine(value);
  if ("index" in value) {
    const { index, ...outcome } = value;
    const read = isItemError(outcome) ? outcome : task.readResult(outcome);
    if (typeof index !== "number" || !Number.isSafeInteger(index) || read === null) {
      throw invalidLine(value);
    }
    return { kind: "outcome", index, outcome: read };
  }
  if (isSummary(value["done"])) return { kind: "done", summary: value["done"] };
  const error = readError(value);
  if (error === null) throw invalidLine(value);
  return { kind: "failed", error };
}

/** The error that `body` reports, or null where it is not one of Millrace's. */
export function readError(body: unknown, retryAfterMs?: number): MillraceError | null {
  if (!isRecord(body) || !isRecord(body["error"])) return null;
  const { code, message, param } = body["error"];
  if (!isErrorCode(code) || typeof message !== "string") return null;
  return new MillraceError(code, message, {
    ...(typeof param === "string" ? { param } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isItemError(outcome: object): outcome is ItemError {
  return "error" in outcome && isRecord(outcome.error) && typeof outcome.error["code"] === "string";
}

/** Whether the inputs may be at fault. A setting is the same for all who share, and so is its error. */
export function blamesInputs(error: unknown, field: string): boolean {
  if (!(error instanceof MillraceError)) return false;
  const { status } = errorRegistry[error.code];
  if (status !== 400 && status !== 413 && status !== 422) return false;
  return error.param === undefined || error.param.startsWith(field);
}

function isSummary(value: unknown): value is ReplySummary {
  return (
    isRecord(value) &&
    typeof value["id"] === "string" &&
    isRecord(value["timings"]) &&
    isRecord(value["pipelines"]) &&
    isRecord(value["deployment"])
  );
}

function invalidLine(value: unknown): MillraceError {
  const start = JSON.stringify(value).slice(0, 200);
  return new MillraceError("response_invalid", `A line of the reply is not Millrace's: ${start}`);
}
