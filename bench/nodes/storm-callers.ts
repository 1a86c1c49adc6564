/** Who asks during the storm, and keeps the books: for every item that was sent, what came of it. */
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import type { TranslateLine } from "millrace-client/wire";
import type { Random } from "../../test/sim/random.js";
import { atTheirTimes, byChance } from "../harness/arrivals.js";
import { JobApi } from "../jobs/job-api.js";
import { jobLines } from "../jobs/made-lines.js";

export interface Books {
  sent: number;
  right: number;
  wrong: number;
  /** No result ever, or one that says to send it no more. */
  lost: number;
  /** Two outcomes in one reply, or two results of one line. */
  doubled: number;
  /** Items that were refused or failed retryably, and sent again as the client does. */
  sentAgain: number;
  /** What was said of those that were not right at once, and how often. */
  readonly said: Map<string, number>;
  readonly latenciesMs: number[];
}

function newBooks(): Books {
  return {
    sent: 0,
    right: 0,
    wrong: 0,
    lost: 0,
    doubled: 0,
    sentAgain: 0,
    said: new Map(),
    latenciesMs: [],
  };
}

/** The right result of each text that is sent. */
export type Expected = ReadonlyMap<string, string>;

export interface StormCall {
  readonly url: string;
  readonly expected: Expected;
  readonly random: Random;
  readonly ms: number;
}

const againMsMax = 60_000;
const againMs = 200;
const goesOnMs = 10_000;
const jobLooksMs = 120_000;

/** An open loop of requests of one to three texts. */
export async function callRealtime(
  { url, expected, random, ms }: StormCall,
  perSecond: number,
): Promise<Books> {
  const books = newBooks();
  const texts = [...expected.keys()];
  const agent = new Agent({ keepAlive: true });
  const caller = { target: new URL("/v1/translate", url), agent, expected, books };
  const duesMs = byChance({ perSecond, ms, seed: random.int(0, 2 ** 31) });
  await atTheirTimes(duesMs, async (_, dueAtMs) => {
    const asked = Array.from({ length: random.int(1, 3) }, () => random.pick(texts));
    books.sent += asked.length;
    await askUntilRight(caller, asked, dueAtMs);
  });
  agent.destroy();
  return books;
}

interface Caller {
  readonly target: URL;
  readonly agent: Agent;
  readonly expected: Expected;
  readonly books: Books;
}

async function askUntilRight(
  caller: Caller,
  asked: readonly string[],
  dueAtMs: number,
): Promise<void> {
  const { books } = caller;
  let left = asked;
  while (left.length > 0) {
    const again = await askOnce(caller, left);
    books.latenciesMs.push(...left.slice(again.length).map(() => performance.now() - dueAtMs));
    if (again.length > 0 && performance.now() - dueAtMs > againMsMax) {
      books.lost += again.length;
      return;
    }
    books.sentAgain += again.length;
    left = again;
    if (left.length > 0) await delay(againMs);
  }
}

/** Gives the texts that may be sent again. */
async function askOnce(caller: Caller, asked: readonly string[]): Promise<readonly string[]> {
  const { books, expected } = caller;
  const say = (what: string): void => void books.said.set(what, (books.said.get(what) ?? 0) + 1);
  let reply: string;
  try {
    reply = await post(caller, asked);
  } catch (error) {
    say(String(error));
    return asked;
  }
  const outcomes = asked.map((): TranslateLine[] => []);
  for (const text of reply.split("\n").filter((each) => each.trim() !== "")) {
    const line = JSON.parse(text) as TranslateLine;
    if ("index" in line && line.index !== undefined) outcomes[line.index]?.push(line);
    else if ("error" in line) say(`whole: ${line.error.code}`);
  }
  const again: string[] = [];
  for (const [index, [outcome, ...more]] of outcomes.entries()) {
    const text = asked[index] ?? "";
    if (more.length > 0) books.doubled += 1;
    if (outcome === undefined) again.push(text);
    else if ("text" in outcome) books[outcome.text === expected.get(text) ? "right" : "wrong"] += 1;
    else if ("error" in outcome) {
      say(`item: ${outcome.error.code}`);
      if (outcome.error.retryable) again.push(text);
      else books.lost += 1;
    }
  }
  return again;
}

async function post({ target, agent }: Caller, texts: readonly string[]): Promise<string> {
  const body = JSON.stringify({ texts, beams: 1, class: "realtime" });
  const headers = {
    "content-type": "application/json",
    accept: "application/x-ndjson",
    "content-length": Buffer.byteLength(body),
  };
  return await new Promise((resolve, reject) => {
    const sent = request(target, { method: "POST", agent, headers }, (response) => {
      text(response).then(resolve, reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** One job after the other. A job that has not ended long after the storm is lost with all of its lines. */
export async function callJobs(
  { url, expected, random, ms }: StormCall,
  lines: number,
): Promise<Books & { readonly jobs: number }> {
  const books = newBooks();
  const texts = [...expected.keys()];
  using api = new JobApi(url);
  const startedAtMs = performance.now();
  let jobs = 0;
  while (performance.now() < startedAtMs + ms) {
    const asked = Array.from({ length: lines }, () => random.pick(texts));
    const askedAtMs = performance.now();
    const requestKey = `storm-${random.int(0, 1e9)}`;
    const { id } = await again(books, () =>
      api.create({
        fields: { task: "translate", beams: 1 },
        lines: jobLines(asked),
        requestKey,
      }),
    );
    jobs += 1;
    books.sent += asked.length;
    const found = await within(
      jobLooksMs,
      again(books, () => api.ended(id)),
    );
    if (found === null) {
      books.lost += asked.length;
      books.said.set("a job that did not end", (books.said.get("a job that did not end") ?? 0) + 1);
      continue;
    }
    books.latenciesMs.push(performance.now() - askedAtMs);
    await again(books, () => countResults(api, id, { asked, expected, books }));
    await again(books, () => api.delete(id));
  }
  return { ...books, jobs };
}

interface Counting {
  readonly asked: readonly string[];
  readonly expected: Expected;
  readonly books: Books;
}

async function countResults(api: JobApi, id: string, counting: Counting): Promise<void> {
  const { asked, expected, books } = counting;
  const results: string[][] = asked.map(() => []);
  await api.readResults(id, (text) => {
    const {
      line,
      text: result,
      error,
    } = JSON.parse(text) as {
      readonly line: number;
      readonly text?: string;
      readonly error?: { readonly code: string };
    };
    if (error !== undefined)
      books.said.set(`line: ${error.code}`, (books.said.get(`line: ${error.code}`) ?? 0) + 1);
    results[line]?.push(result ?? "");
  });
  for (const [line, [result, ...more]] of results.entries()) {
    if (more.length > 0) books.doubled += 1;
    if (result === undefined) books.lost += 1;
    else books[result === expected.get(asked[line] ?? "") ? "right" : "wrong"] += 1;
  }
}

/** The edge may have lost NATS for a moment, or be full: asked again, and counted. @throws where it fails for a minute on end */
async function again<Result>(books: Books, action: () => Promise<Result>): Promise<Result> {
  let failingSinceMs: number | null = null;
  for (;;) {
    const beganMs = performance.now();
    try {
      return await action();
    } catch (error) {
      const nowMs = performance.now();
      // What went on for a while was no failure until now.
      if (failingSinceMs === null || nowMs - beganMs > goesOnMs) failingSinceMs = nowMs;
      if (nowMs - failingSinceMs > againMsMax) throw error;
      books.sentAgain += 1;
      const what = String(error).slice(0, 160);
      books.said.set(what, (books.said.get(what) ?? 0) + 1);
      await delay(againMs);
    }
  }
}

async function within<Result>(ms: number, result: Promise<Result>): Promise<Result | null> {
  const ending = new AbortController();
  const late = delay(ms, null, { signal: ending.signal }).catch(() => null);
  try {
    return await Promise.race([result, late]);
  } finally {
    ending.abort();
    result.catch(() => {});
  }
}
