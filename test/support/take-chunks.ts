/** A server of a deployment, as far as its queue goes: takes chunks and holds them. Arguments: URL, how many, ackWaitMs. */
import { openLinkedStore } from "./jetstream-store.js";

const [url = "", count = "1", ackWaitMs = "1000"] = process.argv.slice(2);
const { store } = await openLinkedStore(url);
const queue = store.openQueue({ ackWaitMs: Number(ackWaitMs) });
for (let taken = 0; taken < Number(count); taken++) {
  const { jobId, index } = await queue.take(new AbortController().signal);
  process.stdout.write(`${jobId} ${index}\n`);
}
// Until it is killed.
setInterval(() => {}, 60_000);
