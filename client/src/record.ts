import { isRecord } from "./reply.js";
import type { Outgoing, Transport } from "./transport.js";
import { MillraceError, type RecordLine } from "./wire/index.js";

export interface RecordAsked {
  /** From 1 to 86,400. */
  readonly seconds: number;
}

/** One connection, and no other where it breaks. */
export async function* recordedLines(
  transport: Transport,
  { seconds }: RecordAsked,
  signal: AbortSignal,
): AsyncGenerator<RecordLine, void, undefined> {
  const path = `v1/record?seconds=${seconds}`;
  const outgoing: Outgoing = { path, accept: "application/x-ndjson" };
  for await (const lines of transport.lines(outgoing, signal)) {
    for (const line of lines) {
      if (!isRecord(line) || typeof line["type"] !== "string")
        throw new MillraceError(
          "response_invalid",
          "A line of the recording is none of Millrace's.",
        );
      yield line as unknown as RecordLine;
    }
  }
}
