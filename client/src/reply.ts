/**
 * What came back, held against the wire's types before anybody reads it: an address may lead anywhere, and a
 * proxy may answer in the server's place.
 */
import {
  isErrorCode,
  MillraceError,
  type TranslateItem,
  type TranslateResponse,
} from "./wire/index.js";

export type TranslationSummary = Omit<TranslateResponse, "results">;

export type ReplyLine =
  | { readonly kind: "item"; readonly index: number; readonly item: TranslateItem }
  | { readonly kind: "done"; readonly summary: TranslationSummary }
  | { readonly kind: "failed"; readonly error: MillraceError };

/** One line of a stream. Throws `response_invalid`. */
export function readLine(value: unknown): ReplyLine {
  if (!isRecord(value)) throw invalidLine(value);
  if ("index" in value) {
    const { index, ...item } = value;
    if (typeof index !== "number" || !Number.isSafeInteger(index) || !isItem(item)) {
      throw invalidLine(value);
    }
    return { kind: "item", index, item };
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

function isItem(value: object): value is TranslateItem {
  if ("text" in value) return typeof value.text === "string";
  return "error" in value && isRecord(value.error) && typeof value.error["code"] === "string";
}

function isSummary(value: unknown): value is TranslationSummary {
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
