/** A child of the benchmark: receives messages of numbers and copies each into an array of its own, as a decoder would need them. */
import { once } from "node:events";
import { connect } from "node:net";
import type { Received } from "./transfer.js";

const [path = "", ...counts] = process.argv.slice(2);
const [messages = 0, numbers = 1] = counts.map(Number);
const socket = connect(path);
await once(socket, "connect");
const before = process.cpuUsage();
let [received, filled, sum] = [0, 0, 0];
let values = new Float32Array(numbers);
let bytes = new Uint8Array(values.buffer);
for await (const chunk of socket) {
  let from = 0;
  const data = chunk as Buffer;
  while (from < data.length) {
    const part = data.subarray(from, from + bytes.length - filled);
    bytes.set(part, filled);
    filled += part.length;
    from += part.length;
    if (filled < bytes.length) continue;
    sum += (values[0] ?? 0) + (values.at(-1) ?? 0);
    received += 1;
    filled = 0;
    values = new Float32Array(numbers);
    bytes = new Uint8Array(values.buffer);
  }
  // Both ends are closed by this.
  if (received === messages) socket.end("all");
}
const { user, system } = process.cpuUsage(before);
process.stdout.write(JSON.stringify({ cpuMs: (user + system) / 1_000, sum } satisfies Received));
