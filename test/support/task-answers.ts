/** A made server's answers for the tasks beside translation: every result is a function of its input alone. */
import { createHash } from "node:crypto";
import { beginStream, doneLine, type Exchange } from "./http-server.js";

/** What the input at `index` comes to; inputs that begin with a bang fail alone. */
type Answer = (input: string, body: Readonly<Record<string, unknown>>) => object;

export const width = 8;

/** The same numbers for the same text. */
export function vectorOf(text: string): Float32Array {
  const bytes = createHash("sha256").update(text).digest();
  return Float32Array.from({ length: width }, (_, at) => bytes.readUInt16LE(at * 2) / 65_536 - 0.5);
}

export function scoreOf(text: string): number {
  return (vectorOf(text)[0] ?? 0) + 0.5;
}

const answers: Readonly<Record<string, Answer>> = {
  "/v1/embed": (text) => ({
    embedding: Buffer.from(vectorOf(text).buffer).toString("base64"),
    inputTokens: text.length,
  }),
  "/v1/classify": (input) => ({ labels: [{ label: input.slice(0, 20), score: scoreOf(input) }] }),
  "/v1/rerank": (text, { query }) => ({ score: scoreOf(`${String(query)} ${text}`) }),
  "/v1/ocr": (image) => {
    const text = Buffer.from(image, "base64").toString();
    const line = {
      text,
      score: 1,
      box: [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1],
      ],
    };
    return { width: text.length, height: 1, lines: [line] };
  },
};

/** The inputs of a request, pairs joined by a bar. */
export function inputsOf({ body }: Exchange): readonly string[] {
  if (typeof body !== "object" || body === null) return [];
  const list: unknown = "images" in body ? body.images : "texts" in body ? body.texts : [];
  return (Array.isArray(list) ? list : [list]).map((input: unknown) =>
    Array.isArray(input) ? input.join("|") : String(input),
  );
}

export function answerTask(exchange: Exchange): void {
  const { request, response, body } = exchange;
  const answer = answers[request.url ?? ""];
  if (answer === undefined) throw new Error(`no answer for ${String(request.url)}`);
  beginStream(response);
  const inputs = inputsOf(exchange);
  const lines = inputs.map((input, index) => {
    const text = request.url === "/v1/ocr" ? Buffer.from(input, "base64").toString() : input;
    const what = {
      code: "item_failed",
      message: `texts[${index}] begins with a bang`,
      retryable: false,
    };
    const error = { ...what, param: `texts[${index}]` };
    const outcome = text.startsWith("!")
      ? { error }
      : answer(input, body as Record<string, unknown>);
    return `${JSON.stringify({ index, ...outcome })}\n`;
  });
  // Not in order, as no server's are.
  response.end([...lines.toReversed(), doneLine(inputs.length)].join(""));
}
