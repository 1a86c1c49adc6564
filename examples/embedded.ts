/** A server inside your own process: the models run in processes of their own and never block this one. */
import { createServer } from "millrace";
import { Millrace } from "millrace-client";

await using server = await createServer({ port: 0, logLevel: "warn" });
await using client = new Millrace(server.url);

const { results, timings } = await client.translate(["Where is the station?", "Good morning."]);
for (const result of results) {
  console.log("error" in result ? result.error.message : result.text);
}
console.log(`in ${timings.totalMs.toFixed(1)} ms`);
