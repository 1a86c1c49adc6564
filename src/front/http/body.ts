/** A request's body → text: bounded in bytes (also after decompression) and in time, and well-formed UTF-8. */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { MillraceError } from "millrace-client/wire";

export interface BodyLimits {
  readonly bodyBytesMax: number;
  readonly bodyTimeoutMs: number;
}

export interface Body {
  readonly text: string;
  /** Decompressed. */
  readonly bytes: number;
}

/**
 * @throws MillraceError `unsupported_media_type`, `body_too_large`, `body_timeout`, `bad_encoding`, `bad_request`,
 * `cancelled` (the caller left). What was not read is left in `request`; the reply's owner discards it.
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  limits: BodyLimits,
): Promise<Body> {
  checkType(request);
  const decoder = decoderFor(request);
  // An honest length is refused before anything is read. A compressed one says nothing about what comes out.
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > limits.bodyBytesMax) throw tooLarge(limits, `${declared}`);
  // The caller waits for leave to send the body; everything that its headers can do wrong was checked by now.
  if (request.headers.expect?.toLowerCase() === "100-continue") response.writeContinue();

  const buffer = await collect({ request, response, decoder }, limits);
  if (!isUtf8(buffer)) throw new MillraceError("bad_encoding", "The body is not valid UTF-8.");
  return { text: buffer.toString("utf8"), bytes: buffer.length };
}

function checkType(request: IncomingMessage): void {
  const [type = "", ...parameters] = (request.headers["content-type"] ?? "")
    .split(";")
    .map((part) => part.trim().toLowerCase());
  if (type !== "application/json") {
    throw new MillraceError(
      "unsupported_media_type",
      `The body must be application/json, not ${type === "" ? "untyped" : JSON.stringify(type)}.`,
      { param: "content-type" },
    );
  }
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new MillraceError("unsupported_media_type", "JSON is UTF-8; no other charset is read.", {
      param: "content-type",
    });
  }
}

function decoderFor(request: IncomingMessage): Transform | null {
  const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  switch (encoding) {
    case "identity":
      return null;
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "deflate":
      return createInflate();
    case "br":
      return createBrotliDecompress();
    default:
      throw new MillraceError(
        "unsupported_media_type",
        `The content-encoding ${JSON.stringify(encoding.slice(0, 32))} is not read; gzip, deflate and br are.`,
        { param: "content-encoding" },
      );
  }
}

function tooLarge(limits: BodyLimits, size: string): MillraceError {
  return new MillraceError(
    "body_too_large",
    `The body has ${size} bytes; at most ${limits.bodyBytesMax} are taken.`,
  );
}

/**
 * Reads `request`, through `decoder` where there is one, and stops at the first byte too many: a bomb is cut off,
 * never unfolded. No `stream.pipeline`: on an error it would destroy the request, and with it the way to answer.
 */
function collect({ request, response, decoder }: BodySource, limits: BodyLimits): Promise<Buffer> {
  const { promise, resolve, reject } = withResolvers<Buffer>();
  const source: Readable = decoder ?? request;
  const chunks: Buffer[] = [];
  let bytes = 0;
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > limits.bodyBytesMax) stop(tooLarge(limits, `more than ${limits.bodyBytesMax}`));
    else chunks.push(chunk);
  };
  const onEnd = (): void => stop(null);
  // The reply's end, not the request's: Node tells a request nothing more once its reply was sent, as happens when
  // the parser gives up on the body (connections.ts).
  const onGone = (): void => {
    stop(new MillraceError("cancelled", "The caller left mid-body."));
  };
  const onBroken = (cause: Error): void => {
    const message = `The body could not be decompressed: ${cause.message}.`;
    stop(new MillraceError("bad_request", message, { cause, param: "content-encoding" }));
  };
  const timer = setTimeout(() => {
    const message = `The body did not arrive within ${limits.bodyTimeoutMs} ms.`;
    stop(new MillraceError("body_timeout", message));
  }, limits.bodyTimeoutMs);

  function stop(error: MillraceError | null): void {
    clearTimeout(timer);
    source.off("data", onData).off("end", onEnd);
    response.off("close", onGone);
    if (decoder !== null) {
      request.unpipe(decoder);
      decoder.destroy();
    }
    if (error === null) {
      resolve(Buffer.concat(chunks));
    } else {
      request.pause();
      reject(error);
    }
  }
  source.on("data", onData).on("end", onEnd);
  response.on("close", onGone);
  // The listener stays: a decoder that is destroyed half-way may still complain.
  decoder?.on("error", onBroken);
  if (decoder !== null) request.pipe(decoder);
  return promise;
}

interface BodySource {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly decoder: Transform | null;
}

interface Resolvers<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** `Promise.withResolvers` for Node 20. */
function withResolvers<T>(): Resolvers<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}
