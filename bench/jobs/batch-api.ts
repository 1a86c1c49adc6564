/** Files and batches in OpenAI's form, as the benchmark asks them. */
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import type { JobApi } from "./job-api.js";

const boundary = "millrace-bench-7d3f";
const lookMs = 10;

interface Batch {
  readonly id: string;
  readonly status: string;
  readonly output_file_id?: string | null;
  readonly error_file_id?: string | null;
}

/** Gives its id. Each text is a request to `/v1/translate`. */
export async function uploadBatchFile(api: JobApi, texts: readonly string[]): Promise<string> {
  const file = await ask<{ readonly id: string }>(api, "/v1/files", {
    method: "POST",
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
    body: multipart(texts),
  });
  return file.id;
}

/** Resolves when its lines were checked. */
export async function createBatch(
  api: JobApi,
  fileId: string,
): Promise<{ readonly id: string; readonly remove: () => Promise<void> }> {
  const asked = { input_file_id: fileId, endpoint: "/v1/translate", completion_window: "24h" };
  let batch = await ask<Batch>(api, "/v1/batches", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: [Buffer.from(JSON.stringify(asked))],
  });
  const look = async (): Promise<Batch> => {
    await delay(lookMs);
    return await ask<Batch>(api, `/v1/batches/${batch.id}`);
  };
  while (batch.status === "validating") batch = await look();
  if (batch.status === "failed") throw new Error(`the batch failed: ${JSON.stringify(batch)}`);
  const remove = async (): Promise<void> => {
    if (batch.status !== "completed")
      await ask(api, `/v1/batches/${batch.id}/cancel`, { method: "POST" });
    while (!["completed", "cancelled"].includes(batch.status)) batch = await look();
    // Lines that were not run are read from the input: that one last.
    const made = [batch.output_file_id, batch.error_file_id, fileId];
    for (const id of made) {
      if (typeof id === "string") await ask(api, `/v1/files/${id}`, { method: "DELETE" });
    }
  };
  return { id: batch.id, remove };
}

async function ask<Reply>(
  api: JobApi,
  path: string,
  asked: Parameters<JobApi["ask"]>[1] = {},
): Promise<Reply> {
  const response = await api.ask(path, asked);
  const reply = await text(response);
  if (response.statusCode === 200) return JSON.parse(reply) as Reply;
  throw new Error(
    `${asked.method ?? "GET"} ${path}: ${response.statusCode}: ${reply.slice(0, 500)}`,
  );
}

function* multipart(texts: readonly string[]): Generator<Buffer> {
  const part = (head: string): string =>
    `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n`;
  yield Buffer.from(`${part('name="purpose"')}\r\nbatch\r\n`);
  const type = "Content-Type: application/jsonl\r\n\r\n";
  yield Buffer.from(`${part('name="file"; filename="lines.jsonl"')}${type}`);
  for (let from = 0; from < texts.length; from += linesOfPiece) {
    const lines = texts.slice(from, from + linesOfPiece).map((each, at) => {
      const request = {
        custom_id: `line-${from + at}`,
        method: "POST",
        url: "/v1/translate",
        body: { texts: [each], beams: 1 },
      };
      return `${JSON.stringify(request)}\n`;
    });
    yield Buffer.from(lines.join(""));
  }
  yield Buffer.from(`\r\n--${boundary}--\r\n`);
}

const linesOfPiece = 256;
