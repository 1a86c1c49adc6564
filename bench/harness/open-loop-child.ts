/** A child of the benchmarks: reads an `OpenLoopSpec` from its standard input, prints an `OpenLoopOutput`. */
import { Agent } from "node:http";
import { text } from "node:stream/consumers";
import { atTheirTimes } from "./arrivals.js";
import type { Answer, OpenLoopOutput, OpenLoopSpec } from "./open-loop.js";
import { openConnections, post } from "./post.js";

const { url, path, arrivals, connections, replies } = JSON.parse(
  await text(process.stdin),
) as OpenLoopSpec;
const agent = new Agent({ keepAlive: true, maxFreeSockets: Infinity });
const target = new URL(path, url);
const bodies = arrivals.map(({ body }) => body);
const answers: Answer[] = [];
const failures = new Map<string, number>();

await openConnections(agent, target, connections);
const before = process.cpuUsage();
await atTheirTimes(
  arrivals.map(({ dueMs }) => dueMs),
  async (at, dueAtMs) => {
    const lateMs = performance.now() - dueAtMs;
    const said = await post(agent, target, bodies[at] ?? "").catch(String);
    const ms = performance.now() - dueAtMs;
    const wrong = whatIsWrong(said);
    if (wrong !== null) failures.set(wrong, (failures.get(wrong) ?? 0) + 1);
    else
      answers[at] = { ms, lateMs, reply: replies && typeof said === "object" ? said.reply : null };
  },
);
const { user, system } = process.cpuUsage(before);
agent.destroy();
const output: OpenLoopOutput = {
  answers,
  cpuMs: (user + system) / 1_000,
  failures: Object.fromEntries(failures),
};
process.stdout.write(JSON.stringify(output));

function whatIsWrong(said: string | { readonly status: number; readonly reply: string }) {
  if (typeof said === "string") return said;
  const { status, reply } = said;
  return status === 200 && !reply.includes('"error"') ? null : `${status}: ${reply.slice(0, 200)}`;
}
