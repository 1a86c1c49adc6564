/** The only file that loads busboy: a `multipart/form-data` body that is in memory → its fields and its files, in memory. */
import { setImmediate } from "node:timers/promises";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import { MillraceError } from "millrace-client/wire";

export interface MultipartForm {
  /** Text parts, in their order. */
  readonly texts: readonly (readonly [name: string, value: string])[];
  /** File parts, in their order. */
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

/** Fields that a request can have, and room for mistakes that deserve their names in the answer. */
const textsMax = 64;
const limits = { fieldNameSize: 128, fieldSize: 4_096, headerPairs: 32, fields: textsMax };
/** So many bytes may be two hundred parts, a stream each, which take some ten milliseconds; then others have a turn. */
const sliceBytes = 16 * 1024;

/** @throws MillraceError `bad_request`, `too_many_items` */
export async function readMultipart(
  body: Uint8Array,
  { contentType, filesMax }: { readonly contentType: string; readonly filesMax: number },
): Promise<MultipartForm> {
  const texts: [string, string][] = [];
  const files: { name: string; bytes: Uint8Array }[] = [];
  // What the parser has found wrong; it goes on in its own way, and we do not.
  const wrong: MillraceError[] = [];
  const refuse = (what: string): void => {
    wrong.push(new MillraceError("bad_request", `The multipart body ${what}.`));
  };
  const parser = openParser(contentType, { body, filesMax });
  const ended = new Promise<void>((resolve) => {
    parser.once("finish", resolve).once("close", resolve);
    parser.on("error", (error) => {
      refuse(`is broken: ${briefMessageOf(error)}`);
      resolve();
    });
  });
  // The parser's types do not say so, but a part may have no name.
  parser.on("field", (name: string | undefined, value, ...cut) => {
    const [isNameCut, isValueCut] = cut;
    if (name === undefined) refuse("has a field without a name");
    else if (isNameCut || isValueCut) refuse(`has a field of more than ${limits.fieldSize} bytes`);
    else texts.push([name, value]);
  });
  parser.on("file", (name: string | undefined, stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    // Of a part that has no end; the parser says so too.
    stream.on("error", () => {});
    stream.on("end", () => files.push({ name: name ?? "", bytes: Buffer.concat(chunks) }));
  });
  parser.on("filesLimit", () => {
    const message = `The body has more than ${filesMax} files.`;
    wrong.push(new MillraceError("too_many_items", message));
  });
  parser.on("fieldsLimit", () => refuse(`has more than ${textsMax} fields`));
  parser.on("partsLimit", () => refuse("has too many parts"));
  for (let at = 0; at < body.length && wrong.length === 0; at += sliceBytes) {
    parser.write(body.subarray(at, at + sliceBytes));
    await setImmediate();
  }
  if (wrong.length === 0) {
    parser.end();
    await ended;
  }
  const [first] = wrong;
  if (first === undefined) return { texts, files };
  parser.destroy();
  throw first;
}

/** What the parser can look for, less the line break and the dashes before it; RFC 2046 has 70 at the most. */
const boundaryCharactersMax = 250;

function openParser(
  contentType: string,
  { body, filesMax }: { readonly body: Uint8Array; readonly filesMax: number },
): BusboyInstance {
  const [, boundary = ""] = /;\s*boundary="?([^";]*)/i.exec(contentType) ?? [];
  if (boundary.length > boundaryCharactersMax) {
    const message = `The boundary of the multipart body has ${boundary.length} characters, at most ${boundaryCharactersMax} are read.`;
    throw new MillraceError("bad_request", message, { param: "content-type" });
  }
  try {
    return new Busboy({
      headers: { "content-type": contentType },
      isPartAFile: (_, type = "text/plain", fileName) =>
        fileName !== undefined || !type.startsWith("text/"),
      limits: { ...limits, files: filesMax, parts: filesMax + textsMax, fileSize: body.length + 1 },
    });
  } catch (cause) {
    const message = `The multipart body cannot be read: ${briefMessageOf(cause)}.`;
    throw new MillraceError("bad_request", message, { cause, param: "content-type" });
  }
}

function briefMessageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.slice(0, 120) : "it is no form";
}
