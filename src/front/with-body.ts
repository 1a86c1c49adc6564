/** The body of a request over HTTP, counted until `submit` counts what became of it. */
import type { Exchange, ReceivedBody } from "../listen/http/http-front.js";

export interface BodyUse<Read> {
  /** Of a body that is not parsed, instead of `bodyBytesMax`. */
  readonly bytesMax?: number | undefined;
  /** It may take turns, and waits for nothing else. */
  readonly read: (body: ReceivedBody) => Read | Promise<Read>;
  /** Calls submit before it waits for anything, which has then admitted the bytes or refused them. */
  readonly answer: (read: Read) => Promise<void>;
}

/** Check the headers first. @throws MillraceError as `Exchange.receive`, and what the two throw */
export async function withBody<Read>(
  exchange: Exchange,
  { bytesMax, read, answer }: BodyUse<Read>,
): Promise<void> {
  const body = await exchange.receive(bytesMax);
  let answered: Promise<void>;
  try {
    answered = answer(await read(body));
  } finally {
    body.release();
  }
  await answered;
}
