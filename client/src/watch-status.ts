import { isRecord } from "./reply.js";
import { ServerEventParser } from "./server-events.js";
import type { Outgoing, Transport } from "./transport.js";
import { type LiveStatus, MillraceError } from "./wire/index.js";

export interface WatchStatusOptions {
  readonly signal?: AbortSignal;
  /** It ends after so many. Default: when the server does, or the signal. */
  readonly looks?: number;
}

/** Two minutes of a server with 256 pipelines are some 20 MB. */
const eventCharactersMax = 64 * 1024 * 1024;

/** One connection, and no other where it breaks. */
export async function* watchedStatus(
  transport: Transport,
  looks: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<LiveStatus, void, undefined> {
  const query = looks === undefined ? "" : `?looks=${looks}`;
  const outgoing: Outgoing = { path: `status/events${query}`, accept: "text/event-stream" };
  const parser = new ServerEventParser(eventCharactersMax);
  for await (const chunk of transport.chunks(outgoing, signal)) {
    for (const { type, data } of parser.push(chunk)) {
      if (type === "status") yield readLook(data);
    }
  }
}

function readLook(data: string): LiveStatus {
  let look: unknown = null;
  try {
    look = JSON.parse(data);
  } catch {
    // Said below.
  }
  if (isRecord(look) && isRecord(look["status"]) && isRecord(look["sample"]))
    return look as unknown as LiveStatus;
  throw new MillraceError("response_invalid", "An event of the status is none of Millrace's.");
}
