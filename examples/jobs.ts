/** A job that survives, of a server with --data: MILLRACE_URL=http://127.0.0.1:8400 node build/examples/jobs.js */
import { Millrace } from "millrace-client";

await using client = new Millrace(process.env["MILLRACE_URL"] ?? "http://127.0.0.1:8400");

/** Read as it is sent: a file or a table would do, of any length. */
function* sentences(): Generator<string> {
  for (let day = 1; day <= 12; day += 1) yield `Today is day ${day} of the journey.`;
}

// On the server's disk when this resolves: from here on everything may end and come back.
const { id, lines } = await client.jobs.submit(sentences(), { task: "translate" });
console.log(`${lines} lines`);

for await (const status of client.jobs.watch(id)) {
  if (status.state === "completed")
    console.log(`done: ${status.succeeded}, failed: ${status.failed}`);
}

// Each line once, from any line on: who was interrupted has `from` lines already.
for await (const { line, text, error } of client.jobs.results(id, { from: 10 })) {
  console.log(line, text ?? error);
}
console.log(await client.jobs.remove(id));
