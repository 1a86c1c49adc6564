/** The ways to look at a server that works: what each does while the server is measured, and what must have come of it. */
import { setTimeout as delay } from "node:timers/promises";
import { Millrace } from "millrace-client";
import type { ProfileResponse } from "millrace-client/wire";
import { startChild } from "../harness/child.js";
import { atLeast, type Target, under } from "../harness/report.js";
import type { Kept } from "./servers.js";

export interface Way {
  readonly name: string;
  readonly kept: Kept;
  /** Held against what the same load gets of a server that nobody looks at; null: it costs what it costs. */
  readonly target: Target | null;
  /**
   * Looks on while `load` is there, which takes so many seconds.
   *
   * @throws where nothing was to be seen
   */
  readonly look: Look;
}

type Look = (
  url: string,
  load: { readonly seconds: number; readonly send: () => Promise<unknown> },
) => Promise<ProfileResponse | null>;

const notLooking: Look = async (_url, { send }) => {
  await send();
  return null;
};

export const none: Way = { name: "none", kept: null, target: null, look: notLooking };

export const pagesOpen = 10;

export const waysByName: Readonly<Record<string, Way>> = {
  pages: { name: `${pagesOpen} pages`, kept: null, target: atLeast(0.99), look: withPages },
  record: { name: "recorded", kept: null, target: atLeast(0.99), look: recorded },
  front: { name: "profile of the front", kept: null, target: null, look: profiled("front") },
  pipeline: {
    name: "profile of a pipeline",
    kept: null,
    target: null,
    look: profiled("shared-1"),
  },
  operators: {
    name: "profile with operators",
    kept: null,
    target: null,
    look: profiled("shared-1", true),
  },
};

/** `ratio`: of the requests, 0 to 1. */
export function tracedWay(ratio: number): Way {
  const target = ratio === 1 ? null : atLeast(0.99);
  return { name: `traces, ${100 * ratio}% kept`, kept: ratio, target, look: notLooking };
}

/** What the front may take of the processors for a request, of what it takes where nobody looks. */
export function frontTarget({ target }: Way): Target | null {
  return target === null ? null : under(1.05);
}

async function withPages(
  url: string,
  { send }: { readonly send: () => Promise<unknown> },
): Promise<null> {
  const script = new URL("../page/reading-child.js", import.meta.url);
  await using pages = startChild(script, [url, String(pagesOpen)]);
  await pages.line();
  await pages.while(send());
  return null;
}

async function recorded(
  url: string,
  { send }: { readonly send: () => Promise<unknown> },
): Promise<null> {
  await using client = new Millrace(url, { retry: { attemptsMax: 1 } });
  const recording = client.record({ seconds: 3_600 });
  await recording.next();
  let requests = 0;
  const read = (async () => {
    for await (const { type } of recording) if (type === "request") requests += 1;
  })();
  await Promise.race([send(), read]);
  // Lines come a second late at most.
  await delay(1_500);
  client.close();
  await read.catch(() => {});
  if (requests === 0) throw new Error("no request was recorded");
  return null;
}

function profiled(of: string, operators = false): Look {
  return async (url, { seconds, send }) => {
    await using client = new Millrace(url, { retry: { attemptsMax: 1 } });
    const [profile] = await Promise.all([
      client.profile({ of, operators, seconds: Math.max(1, Math.round(seconds)) }),
      send(),
    ]);
    if (operators) checkOperators(profile);
    return profile;
  };
}

function checkOperators({ graphs }: ProfileResponse): void {
  const watched = graphs.filter(({ watchedRuns }) => watchedRuns > 0);
  if (watched.length === 0 || graphs.some(({ problem }) => problem !== null))
    throw new Error(`no operators: ${JSON.stringify(graphs)}`);
}
