/** Small jobs whose end and the death of their server fall together: cancelled, or at their deadline. */
import { setTimeout as delay } from "node:timers/promises";
import type { JobStatus } from "millrace-client/wire";
import type { Report } from "../harness/report.js";
import { doneOf, hasJobEnded } from "./job-api.js";
import { jobLines } from "./made-lines.js";
import { whenSeen } from "./restart.js";
import type { JobStorm } from "./storm.js";

interface Endings {
  readonly texts: readonly string[];
  /** The line of results of each text, as an undisturbed run gives it. */
  readonly expected: readonly string[];
  /** How many of each kind. */
  readonly each: number;
  readonly report: Report;
}

export async function stormEndings(storm: JobStorm, endings: Endings): Promise<void> {
  const ends = new Map<string, number>();
  for (const ending of [cancelled, expired]) {
    for (let count = 0; count < endings.each; count += 1) {
      await whenSeen(() => storm.api.list());
      const { id, wanted } = await ending(storm, endings.texts);
      const status = await storm.api.ended(id);
      const isOver = status.state === wanted || status.state === "completed";
      storm.expect(isOver, `a job that should be ${wanted} ended as ${status.state}`);
      const said = status.state === wanted ? wanted : `${status.state} before it was ${wanted}`;
      ends.set(said, (ends.get(said) ?? 0) + 1);
      await compare(storm, status, endings.expected);
      await storm.api.delete(id);
    }
  }
  const said = [...ends].map(([end, count]) => `${count} ${end}`).join(", ");
  endings.report.say(`jobs that ended while their server was killed: ${said}`);
}

interface Ended {
  readonly id: string;
  readonly wanted: "cancelled" | "expired";
}

async function cancelled(storm: JobStorm, texts: readonly string[]): Promise<Ended> {
  const { api, random } = storm;
  const { id } = await api.create({ fields, lines: jobLines(texts) });
  await delay(random.int(0, 800));
  let isTold = false;
  const cancelling = api.delete(id).then(
    () => {
      isTold = true;
    },
    () => {},
  );
  await delay(random.int(0, 25));
  await storm.kill("while a job was cancelled");
  await cancelling;
  await storm.restart();
  const status = await whenSeen(() => api.status(id));
  const isKept = hasJobEnded(status) || status.state === "cancelling";
  storm.expect(!isTold || isKept, `told that it is cancelled, a job is ${status.state}`);
  if (!isKept) await api.delete(id);
  return { id, wanted: "cancelled" };
}

async function expired(storm: JobStorm, texts: readonly string[]): Promise<Ended> {
  const { api, random } = storm;
  const timeoutMs = random.int(300, 1_500);
  const { id } = await api.create({ fields: { ...fields, timeoutMs }, lines: jobLines(texts) });
  await delay(Math.max(0, timeoutMs + random.int(-250, 250)));
  await storm.kill("around a job's deadline");
  await storm.restart();
  await whenSeen(() => api.status(id));
  return { id, wanted: "expired" };
}

/** What is done is kept: each line at most once, and with the undisturbed bytes, unless it says that it was not done. */
async function compare(
  storm: JobStorm,
  status: JobStatus,
  expected: readonly string[],
): Promise<void> {
  let before = -1;
  let right = 0;
  await storm.api.readResults(status.id, (text) => {
    const { line, error } = JSON.parse(text) as { readonly line: number; readonly error?: object };
    storm.expect(line > before, `${status.state}: line ${line} behind line ${before}`);
    before = line;
    if (error !== undefined) return;
    right += 1;
    storm.expect(text === expected[line], `${status.state}: line ${line} is ${text}`);
  });
  storm.expect(
    right <= doneOf(status),
    `${status.state}: ${right} results, and ${doneOf(status)} told`,
  );
}

const fields = { task: "translate", beams: 1 } as const;
