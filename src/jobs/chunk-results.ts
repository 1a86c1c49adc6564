/**
 * The results of a chunk as bytes, which the store keeps and does not read.
 *
 *   version (1) │ place × 2 + error (4) │ bytes (4) │ JSON │ place × 2 + error │ bytes │ JSON │ …
 *
 * `place` is the line's in its chunk: of a chunk that was left in the middle some are missing.
 */
import { MillraceError } from "millrace-client/wire";
import type { ChunkResults } from "./store.js";

export interface PlacedResult {
  readonly place: number;
  readonly isError: boolean;
  /** One JSON object, on one line, without its end. */
  readonly json: string;
}

const version = 1;
const headBytes = 8;

export function encodeResults(
  { index, firstLine }: Pick<ChunkResults, "index" | "firstLine">,
  results: readonly PlacedResult[],
): ChunkResults {
  const parts: Buffer[] = [Buffer.of(version)];
  const bytes = { output: 0, error: 0 };
  let failed = 0;
  for (const { place, isError, json } of results) {
    const text = Buffer.from(json, "utf8");
    const head = Buffer.alloc(headBytes);
    head.writeUInt32LE(place * 2 + (isError ? 1 : 0), 0);
    head.writeUInt32LE(text.length, 4);
    parts.push(head, text);
    bytes[isError ? "error" : "output"] += text.length + 1;
    if (isError) failed += 1;
  }
  return {
    index,
    firstLine,
    lines: results.length,
    succeeded: results.length - failed,
    failed,
    outputBytes: bytes.output,
    errorBytes: bytes.error,
    body: Buffer.concat(parts),
  };
}

/** @throws MillraceError `job_data_lost` where the bytes are not what was written */
export function decodeResults({
  body,
  lines,
}: Pick<ChunkResults, "body" | "lines">): PlacedResult[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (bytes[0] !== version) throw damaged();
  const results: PlacedResult[] = [];
  for (let at = 1; at < bytes.length; ) {
    if (at + headBytes > bytes.length) throw damaged();
    const head = bytes.readUInt32LE(at);
    const end = at + headBytes + bytes.readUInt32LE(at + 4);
    if (end > bytes.length) throw damaged();
    const json = bytes.toString("utf8", at + headBytes, end);
    results.push({ place: Math.floor(head / 2), isError: head % 2 === 1, json });
    at = end;
  }
  if (results.length !== lines) throw damaged();
  return results;
}

function damaged(): MillraceError {
  return new MillraceError("job_data_lost", "the results of a job are damaged");
}
