/**
 * The thread that has the LMDB file, alone: every call is synchronous there, and the server's loop waits for none. Writes that came
 * together are one transaction and one sync.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Books } from "./books.js";
import type { StoreReply, StoreRequest } from "./calls.js";
import type { DamagedValue } from "./tables.js";
import { thrownError } from "./thrown-error.js";

const port = parentPort;
if (port === null) throw new Error("this is a thread of the store");

function reply(message: StoreReply, transfer: readonly ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

/** So many are told; where more are damaged nobody would read on. */
const toldMax = 1_000;
const told = new Set<string>();
let untold: DamagedValue[] = [];

function onDamaged(value: DamagedValue): void {
  const name = `${value.table}/${value.key}`;
  if (told.has(name) || told.size >= toldMax) return;
  told.add(name);
  untold.push(value);
}

function takeUntold(): readonly DamagedValue[] {
  const values = untold;
  untold = [];
  return values;
}

function opened(): Books | null {
  try {
    const { path, bytesMax } = workerData as { readonly path: string; readonly bytesMax: number };
    const books = new Books(path, { bytesMax, onDamaged });
    const { bytes, isUnswept } = books;
    reply({ type: "opened", bytes, isUnswept, damaged: takeUntold() });
    return books;
  } catch (error) {
    reply({ type: "refused", error: thrownError(error) });
    return null;
  }
}

const books = opened();

port.on("message", (request: StoreRequest) => {
  if (books === null) return;
  answer(books, request);
  if (untold.length > 0) reply({ type: "damaged", values: takeUntold() });
});

function answer(books: Books, request: StoreRequest): void {
  switch (request.type) {
    case "write":
      reply({ type: "written", ...books.write(request.writes), bytes: books.bytes });
      return;
    case "read": {
      const found = books.read(request.read);
      reply({ type: "read", id: request.id, reply: found }, buffersOf(found));
      return;
    }
    case "close":
      void books.close().finally(() => {
        reply({ type: "closed" });
        port?.close();
      });
  }
}

/** Chunks and results are handed over, not copied. */
function buffersOf(found: object): ArrayBuffer[] {
  const value: unknown = "value" in found ? found.value : null;
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap((field) =>
    field instanceof Uint8Array && field.buffer instanceof ArrayBuffer ? [field.buffer] : [],
  );
}
