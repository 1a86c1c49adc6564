/**
 * The only file that loads busboy: a `multipart/form-data` body → its fields and its files. `readMultipart`: both in memory;
 * `streamMultipart`: one file, as it comes.
 */
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
  const parser = openParser(contentType, { filesMax, fileBytesMax: body.length });
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
  parser.on("filesLimit", () => wrong.push(tooManyFiles(filesMax)));
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

function tooManyFiles(filesMax: number): MillraceError {
  const files = filesMax === 1 ? "one file" : `${filesMax} files`;
  return new MillraceError("too_many_items", `The body has more than ${files}.`);
}

/** What the parser can look for, less the line break and the dashes before it; RFC 2046 has 70 at the most. */
const boundaryCharactersMax = 250;

function openParser(
  contentType: string,
  { filesMax, fileBytesMax }: { readonly filesMax: number; readonly fileBytesMax: number },
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
      limits: {
        ...limits,
        files: filesMax,
        parts: filesMax + textsMax,
        fileSize: fileBytesMax + 1,
      },
    });
  } catch (cause) {
    const message = `The multipart body cannot be read: ${briefMessageOf(cause)}.`;
    throw new MillraceError("bad_request", message, { cause, param: "content-type" });
  }
}

/** A file that is on its way. */
export interface ArrivingFile {
  /** The field's, and the one that its sender has for it. */
  readonly field: string;
  readonly name: string;
  /** Once. It ends when the whole form has ended and was right, so that whoever keeps the file knows then all that is said of it. */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface StreamedForm<Kept> {
  readonly texts: ReadonlyMap<string, string>;
  /** Null: the form has no file. */
  readonly kept: Kept | null;
}

/**
 * A form that may be larger than the memory: `keep` is called with its one file, and reads it at its own pace. `texts` of it are those
 * that came before, and all of them when the content has ended.
 *
 * @throws MillraceError `bad_request`, `too_many_items`, and what `keep` and the body throw
 */
export async function streamMultipart<Kept>(
  body: AsyncIterable<Uint8Array>,
  contentType: string,
  keep: (file: ArrivingFile, texts: ReadonlyMap<string, string>) => Promise<Kept>,
): Promise<StreamedForm<Kept>> {
  const form = new ArrivingForm(contentType, keep);
  await form.read(body);
  return { texts: form.texts, kept: await form.kept };
}

class ArrivingForm<Kept> {
  readonly texts = new Map<string, string>();
  kept: Promise<Kept> | null = null;
  readonly #parser: BusboyInstance;
  readonly #ended: Promise<void>;
  /** Never resolves: what has gone wrong, wherever it did. */
  readonly #failed: Promise<never>;
  #fail: (error: unknown) => void = () => {};

  constructor(
    contentType: string,
    keep: (file: ArrivingFile, texts: ReadonlyMap<string, string>) => Promise<Kept>,
  ) {
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // It is waited for only now and then.
    this.#failed.catch(() => {});
    // What a file may have is bounded by who receives the body.
    const parser = openParser(contentType, {
      filesMax: 1,
      fileBytesMax: Number.MAX_SAFE_INTEGER - 1,
    });
    this.#parser = parser;
    this.#ended = new Promise<void>((resolve) => {
      parser.once("finish", resolve);
    });
    parser.on("error", (error) => this.#refuse(`is broken: ${briefMessageOf(error)}`));
    parser.on("field", (name: string | undefined, value, ...cut) =>
      this.#addText(name, value, cut),
    );
    parser.on("filesLimit", () => this.#fail(tooManyFiles(1)));
    parser.on("fieldsLimit", () => this.#refuse(`has more than ${textsMax} fields`));
    parser.on("partsLimit", () => this.#refuse("has too many parts"));
    parser.on("file", (field: string | undefined, stream, name: string | undefined) => {
      // Of a part that has no end; the parser says so too.
      stream.on("error", () => {});
      const content = this.#content(stream);
      this.kept = keep({ field: field ?? "", name: name ?? "", content }, this.texts);
      // Whoever keeps it no more reads it no more, and the rest of the body is not waited for.
      this.kept.catch(this.#fail);
    });
  }

  async read(body: AsyncIterable<Uint8Array>): Promise<void> {
    const pieces = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = pieces.next();
        // Of one that was left behind nobody wants to know.
        next.catch(() => {});
        const { done, value } = await Promise.race([next, this.#failed]);
        if (done === true) break;
        await Promise.race([this.#write(value), this.#failed]);
      }
      this.#parser.end();
      await Promise.race([this.#ended, this.#failed]);
      await Promise.race([this.kept, this.#failed]);
    } catch (error) {
      // The one who keeps the file hears of it, and is done with it before anybody is told.
      this.#fail(error);
      this.#parser.destroy();
      await this.kept?.catch(() => {});
      throw error;
    }
  }

  /** Resolves when there is room for more. */
  #write(piece: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#parser.write(piece, () => resolve());
    });
  }

  async *#content(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const pieces = stream[Symbol.asyncIterator]();
    for (;;) {
      const next = pieces.next();
      next.catch(() => {});
      const { done, value } = await Promise.race([next, this.#failed]);
      if (done === true) break;
      yield value;
    }
    await Promise.race([this.#ended, this.#failed]);
  }

  #addText(name: string | undefined, value: string, cut: readonly unknown[]): void {
    const [isNameCut, isValueCut] = cut;
    if (name === undefined) this.#refuse("has a field without a name");
    else if (isNameCut === true || isValueCut === true) {
      this.#refuse(`has a field of more than ${limits.fieldSize} bytes`);
    } else if (this.texts.has(name)) this.#refuse(`has ${JSON.stringify(name)} twice`);
    else this.texts.set(name, value);
  }

  #refuse(what: string): void {
    this.#fail(new MillraceError("bad_request", `The multipart body ${what}.`));
  }
}

function briefMessageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.slice(0, 120) : "it is no form";
}
