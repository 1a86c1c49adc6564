/** The one place that knows the inside of `ws`. */
import type { WebSocket } from "ws";

interface Receiver {
  readonly _errored: boolean;
  _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error) => void): void;
}

/**
 * Version 8.23 reads on behind a frame that it refused where more chunks wait, stumbles over what it has put away of it, and throws
 * where nobody can catch: three packets of a stranger would end the server. What comes behind an error is nobody's.
 */
export function passOverBehindErrors(ws: WebSocket): void {
  const { _receiver: receiver } = ws as unknown as { readonly _receiver?: Receiver };
  if (receiver === undefined) throw new Error("another version of ws, with another inside");
  const write = receiver._write.bind(receiver);
  receiver._write = (chunk, encoding, done) => {
    if (receiver._errored) done();
    else write(chunk, encoding, done);
  };
}
