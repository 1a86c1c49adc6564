/** The ways to look at a server that works: what each does while the server is measured, and what must have come of it. */
import { setTimeout as delay } from "node:timers/promises";
import { Millrace } from "millrace-client";
import { type ProfileResponse, profileSecondsMax } from "millrace-client/wire";
import { startChild } from "../harness/child.js";
import { atLeast, type Target, under } from "../harness/report.js";
import type { Kept } from "./servers.js";

export interface Way {
  readonly name: string;
  /** Of one name it is one server. */
  readonly server: string;
  readonly kept: Kept;
  /** What it is compared with; null: others are with it. */
  readonly base: Way | null;
  /** Held against what the same load gets of a server that nobody looks at; null: it costs what it costs. */
  readonly target: Target | null;
  /**
   * Looks on while the load is there that `send` sends.
   *
   * @throws where nothing was to be seen
   */
  readonly look: Look;
}

type Look = (url: string, send: () => Promise<unknown>) => Promise<ProfileResponse | null>;

const notLooking: Look = async (_url, send) => {
  await send();
  return null;
};

export const none: Way = {
  name: "none",
  server: "looked-at",
  kept: null,
  base: null,
  target: null,
  look: notLooking,
};

/** A server that is asked as seldom as those with traces: one that all other ways take turns with is warmer. */
export const untraced: Way = { ...none, name: "no traces", server: "untraced" };

const pagesOpen = 10;

export const waysByName: Readonly<Record<string, Way>> = {
  pages: lookedAt(`${pagesOpen} pages`, withPages, atLeast(0.99)),
  record: lookedAt("recorded", recorded, atLeast(0.99)),
  front: lookedAt("profile of the front", profiled("front")),
  pipeline: lookedAt("profile of a pipeline", profiled("shared-1")),
  operators: lookedAt("profile with operators", profiled("shared-1", true)),
};

function lookedAt(name: string, look: Look, target: Target | null = null): Way {
  return { ...none, name, base: none, target, look };
}

/** `ratio`: of the requests, 0 to 1. */
export function tracedWay(ratio: number): Way {
  const target = ratio === 1 ? null : atLeast(0.99);
  const name = `traces, ${100 * ratio}% kept`;
  return { name, server: `traced-${ratio}`, kept: ratio, base: untraced, target, look: notLooking };
}

/** What the front may take of the processors for a request, of what it takes where nobody looks. */
export function frontTarget({ target }: Way): Target | null {
  return target === null ? null : under(1.05);
}

async function withPages(url: string, send: () => Promise<unknown>): Promise<null> {
  const script = new URL("../page/reading-child.js", import.meta.url);
  await using pages = startChild(script, [url, String(pagesOpen)]);
  await pages.line();
  await pages.while(send());
  return null;
}

async function recorded(url: string, send: () => Promise<unknown>): Promise<null> {
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
  return async (url, send) => {
    await using client = new Millrace(url, { retry: { attemptsMax: 1 } });
    // All of the load is in it, however long its process takes to start.
    const asked = { of, operators, seconds: profileSecondsMax };
    const sending = async (): Promise<void> => {
      try {
        await send();
      } finally {
        await client.endProfile();
      }
    };
    const [profile] = await Promise.all([client.profile(asked), sending()]);
    if (operators) checkOperators(profile);
    return profile;
  };
}

function checkOperators({ graphs }: ProfileResponse): void {
  const watched = graphs.filter(({ watchedRuns }) => watchedRuns > 0);
  if (watched.length === 0 || graphs.some(({ problem }) => problem !== null))
    throw new Error(`no operators: ${JSON.stringify(graphs)}`);
}
