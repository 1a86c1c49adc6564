/** What a server's `/metrics` says, summed over models and pipelines. */
import { setTimeout as delay } from "node:timers/promises";

const pollMs = 10;
const waitMsMax = 120_000;

/** `labels`: that the lines must have, as they are written there. */
export async function readMetric(url: string, name: string, ...labels: string[]): Promise<number> {
  const response = await fetch(new URL("/metrics", url));
  const lines = (await response.text()).split("\n");
  const own = lines.filter(
    (line) =>
      /^[{ ]/.test(line.slice(name.length)) &&
      line.startsWith(name) &&
      labels.every((label) => line.includes(label)),
  );
  return own.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** @throws where it has not come true in two minutes */
export async function untilMetrics(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + waitMsMax;
  while (!(await isSo())) {
    if (performance.now() > until) throw new Error(`waited too long for ${what}`);
    await delay(pollMs);
  }
}
