/** What servers tell of a load while it is sent to them, ready for a plan. */
import { Millrace } from "millrace-client";
import type { RecordHead, RecordLine, WorkClass } from "millrace-client/wire";
import type { PlanQuestion } from "#src/plan/plan.js";
import { type RecordedLoad, recordedLoad } from "#src/plan/recorded-load.js";

/** Only the recorded configuration. */
export const noQuestion: PlanQuestion = {
  pipelines: null,
  nodes: [],
  isCut: () => true,
  policies: [],
  loadFactors: [],
  p99Ms: null,
  waits: null,
  measured: null,
};

/** Of all servers together, as if they were one that is like the first. */
export async function recordedOf(
  urls: readonly string[],
  send: () => Promise<void>,
): Promise<RecordedLoad> {
  const heads: RecordHead[] = [];
  const lines: RecordLine[] = [];
  const record = async (at: number): Promise<void> => {
    const url = urls[at];
    if (url === undefined) return await send();
    const told = await recorded(url, () => record(at + 1));
    heads.unshift(told.head);
    // Each server numbers its own requests.
    for (const line of told.lines)
      lines.push("id" in line ? { ...line, id: line.id * urls.length + at } : line);
  };
  await record(0);
  const [head] = heads;
  if (head === undefined) throw new Error("nobody was recorded");
  return recordedLoad(head, { lines, isCut: false });
}

async function recorded(
  url: string,
  send: () => Promise<void>,
): Promise<{ readonly head: RecordHead; readonly lines: readonly RecordLine[] }> {
  await using client = new Millrace(url, { retry: { attemptsMax: 1 } });
  const recording = client.record({ seconds: 3_600 });
  const first = await recording.next();
  if (first.done === true || first.value.type !== "head") throw new Error("no head was told");
  const lines: RecordLine[] = [];
  let isSent = false;
  const sending = send().finally(() => {
    isSent = true;
  });
  for await (const line of recording) {
    lines.push(line);
    if (isSent && line.type === "time" && line.openRequests === 0) break;
  }
  await sending;
  return { head: first.value, lines };
}

/** Of the one class that there is. */
export function only<Value>(byClass: Readonly<Partial<Record<WorkClass, Value>>>): Value {
  const found = byClass.realtime;
  if (found === undefined) throw new Error("no request was answered while it was recorded");
  return found;
}
