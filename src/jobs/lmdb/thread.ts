/**
 * The thread that has the LMDB file, alone: every call is synchronous there, and the server's loop waits for none. Writes that came
 * together are one transaction and one sync.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Books } from "./books.js";
import type { StoreReply, StoreRequest } from "./calls.js";
import { thrownError } from "./thrown-error.js";

const port = parentPort;
if (port === null) throw new Error("this is a thread of the store");

function reply(message: StoreReply, transfer: readonly ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

function opened(): Books | null {
  try {
    const { path, bytesMax } = workerData as { readonly path: string; readonly bytesMax: number };
    const books = new Books(path, bytesMax);
    reply({ type: "opened", bytes: books.bytes, isUnswept: books.isUnswept });
    return books;
  } catch (error) {
    reply({ type: "refused", error: thrownError(error) });
    return null;
  }
}

const books = opened();

port.on("message", (request: StoreRequest) => {
  if (books === null) return;
  switch (request.type) {
    case "write":
      reply({ type: "written", ...books.write(request.writes), bytes: books.bytes });
      return;
    case "read": {
      const answer = books.read(request.read);
      reply({ type: "read", id: request.id, reply: answer }, buffersOf(answer));
      return;
    }
    case "close":
      void books.close().finally(() => {
        reply({ type: "closed" });
        port.close();
      });
  }
});

/** Chunks and results are handed over, not copied. */
function buffersOf(answer: object): ArrayBuffer[] {
  const value: unknown = "value" in answer ? answer.value : null;
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap((field) =>
    field instanceof Uint8Array && field.buffer instanceof ArrayBuffer ? [field.buffer] : [],
  );
}
