/** Numbers from one process to another over a Unix socket, as frames between Millrace's processes go: what both sides pay for it. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { TempDir } from "../../test/support/temp-dir.js";
import { startChild } from "../harness/child.js";

export interface TransferSpec {
  readonly messages: number;
  /** Of each. */
  readonly bytes: number;
}

export interface Transfer {
  /** From the first byte that is written to the last one in its place. */
  readonly ms: number;
  /** Of a core. */
  readonly senderMs: number;
  readonly receiverMs: number;
}

/** What the receiver prints. */
export interface Received {
  readonly cpuMs: number;
  /** Of the first and the last number of each message, so that nobody leaves out the copy. */
  readonly sum: number;
}

export async function sendToChild({ messages, bytes }: TransferSpec): Promise<Transfer> {
  await using temp = await TempDir.make();
  const dir = temp.path;
  const path = join(dir, "socket");
  const server = createServer();
  try {
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const numbers = Math.max(1, Math.round(bytes / 4));
    const script = new URL("transfer-child.js", import.meta.url);
    await using child = startChild(script, [path, String(messages), String(numbers)]);
    const connected = once(server, "connection") as Promise<[Socket]>;
    const [socket] = await child.while(connected);
    // It ends with its child, and that is told by what waits for it.
    socket.on("error", () => {});
    // The encoder has made them anyway: only to send them is counted.
    const values = Float32Array.from({ length: numbers }, (_, at) => at % 128);
    const sum = messages * ((values[0] ?? 0) + (values.at(-1) ?? 0));
    const startedAtMs = performance.now();
    const before = process.cpuUsage();
    for (let message = 0; message < messages; message += 1) {
      if (!socket.write(Buffer.from(values.buffer))) await child.while(once(socket, "drain"));
    }
    // The receiver says so when all of it is in place.
    await child.while(once(socket, "data"));
    const ms = performance.now() - startedAtMs;
    const { user, system } = process.cpuUsage(before);
    const received = JSON.parse(await child.output()) as Received;
    if (received.sum !== sum) throw new Error("what was received is not what was sent");
    return { ms, senderMs: (user + system) / 1_000, receiverMs: received.cpuMs };
  } finally {
    server.close();
  }
}
