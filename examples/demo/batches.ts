/** The status shows the last batches only, so it is polled while the work goes on; that costs the work nothing. */
import { setTimeout as sleep } from "node:timers/promises";
import { type BatchRecord, Millrace } from "millrace-client";

const pollMs = 50;

/** Collects until the signal aborts. */
export async function collectBatches(url: string, signal: AbortSignal): Promise<BatchRecord[]> {
  await using client = new Millrace(url);
  const batches = new Map<number, BatchRecord>();
  for (;;) {
    const { recent } = (await client.status()).batches;
    for (const batch of recent) batches.set(batch.batchId, batch);
    if (signal.aborted) return [...batches.values()].toSorted((a, b) => a.batchId - b.batchId);
    // The abort is the way out above, after one last look.
    await sleep(pollMs, undefined, { signal }).catch(() => {});
  }
}
