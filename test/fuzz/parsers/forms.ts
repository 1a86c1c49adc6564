/** Bodies that are files or forms with files, and queries: what stands beside a picture. */
import { streamMultipart } from "#src/front/multipart.js";
import { fileFields, formFields } from "#src/front/native/files.js";
import type { TaskForm } from "#src/work/task-form.js";
import type { Random } from "../../sim/random.js";
import { hostileText, mutateBytes } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

const files: TaskForm["files"] = { field: "images", mediaTypes: ["image/*"] };

const boundary = "----b7";

function formOf(
  parts: readonly (readonly [head: string, content: string])[],
  cut = boundary,
): Buffer {
  const texts = parts.map(([head, content]) => `--${cut}\r\n${head}\r\n\r\n${content}\r\n`);
  return Buffer.from(`${texts.join("")}--${cut}--\r\n`, "latin1");
}

const field = (name: string): string => `Content-Disposition: form-data; name="${name}"`;
const file = (name: string): string =>
  `${field(name)}; filename="a.png"\r\nContent-Type: image/png`;

const good: readonly Buffer[] = [
  formOf([
    [field("model"), "m"],
    [file("image"), "\x89PNG\r\n\x1a\n"],
    [field("topK"), "2"],
  ]),
  formOf([
    [file("a"), "x".repeat(300)],
    [file("b"), "--"],
    [field("raw"), "true"],
  ]),
  formOf([[`${field("tenant")}\r\nContent-Type: text/plain; charset=utf-8`, "\xe9\xb1\xbc"]]),
];

interface FormInput {
  readonly body: Buffer;
  readonly contentType: string;
}

export const multipartParser: FuzzParser = defineParser<FormInput>({
  name: "multipart",
  open: () => ({
    make: (random) => {
      const isGood = random.chance(goodShare);
      const body = isGood ? random.pick(good) : mutateBytes(random, random.pick(good), good);
      return { body, contentType: isGood ? typeOf(boundary) : contentTypeOf(random) };
    },
    take: async ({ body, contentType }) => {
      await formFields(body, { files }, { contentType, filesMax: 16 });
    },
  }),
});

interface StreamedInput extends FormInput {
  readonly pieceBytes: number;
}

const piecesMax = 512;

const streamed: readonly Buffer[] = [
  formOf([
    [file("file"), "{}\n".repeat(200)],
    [field("purpose"), "batch"],
    [field("expires_after[seconds]"), "3600"],
  ]),
  formOf([
    [field("purpose"), "batch"],
    [file("file"), "\r\n--\r\n----b"],
  ]),
];

/** As it comes, piece by piece: what is kept is what a whole body would have had. */
export const streamedFormParser: FuzzParser = defineParser<StreamedInput>({
  name: "multipart-stream",
  open: () => ({
    make: (random) => {
      const isGood = random.chance(goodShare);
      const body = isGood
        ? random.pick(streamed)
        : mutateBytes(random, random.pick(streamed), streamed);
      const contentType = isGood ? typeOf(boundary) : contentTypeOf(random);
      // Each piece is a turn of the event loop: what takes long is to be one of them.
      const pieceBytes = Math.max(random.int(1, 200), Math.ceil(body.length / piecesMax));
      return { body, contentType, pieceBytes };
    },
    take: async ({ body, contentType, pieceBytes }) => {
      let bytes = 0;
      await streamMultipart(piecesOf(body, pieceBytes), contentType, async ({ content }) => {
        for await (const piece of content) bytes += piece.length;
      });
      if (bytes > body.length) throw new Error("more came out than went in");
    },
  }),
});

async function* piecesOf(body: Buffer, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.length; at += bytes) yield body.subarray(at, at + bytes);
}

function typeOf(cut: string): string {
  return `multipart/form-data; boundary=${cut}`;
}

function contentTypeOf(random: Random): string {
  if (random.chance(0.9)) return typeOf(boundary);
  const wrong = [typeOf(""), "multipart/form-data", typeOf("x".repeat(random.int(1, 400)))];
  return random.pick([
    ...wrong,
    typeOf(hostileText(random)),
    mutateBytes(random, Buffer.from(typeOf(boundary))).toString("latin1"),
  ]);
}

const queries = ["model=m&topK=3&raw=true", "tenant=%E9%B1%BC&class=bulk", "timeoutMs=1000&a=%ff"];

export const queryParser: FuzzParser = defineParser<string>({
  name: "query",
  open: () => ({
    make: (random) => {
      if (random.chance(goodShare)) return queries[0] ?? "";
      return mutateBytes(
        random,
        Buffer.from(random.pick(queries)),
        queries.map((query) => Buffer.from(query)),
      ).toString("latin1");
    },
    take: (text) =>
      void fileFields(new Uint8Array(1), { files }, { query: new URLSearchParams(text) }),
  }),
});
