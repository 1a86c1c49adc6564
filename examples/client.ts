/** Translates with a running server: MILLRACE_URL=http://127.0.0.1:8400 node build/examples/client.js */
import { Millrace } from "millrace-client";

await using client = new Millrace(process.env["MILLRACE_URL"] ?? "http://127.0.0.1:8400");

const { results, timings } = await client.translate(["Good morning.", "See you tomorrow."]);
for (const result of results) {
  console.log("text" in result ? result.text : `failed: ${result.error.message}`);
}
// Null where the call shared its request with others: then only the whole time is known.
const waited = timings.queueMs === null ? "" : `, ${timings.queueMs.toFixed(1)} of them waiting`;
console.log(`${timings.totalMs.toFixed(1)} ms in all${waited}`);

// A page of work, each sentence as soon as it is ready.
for await (const item of client.translateStream(["One.", "Two.", "Three."], { class: "bulk" })) {
  console.log(item.index, "text" in item ? item.text : item.error.code);
}
