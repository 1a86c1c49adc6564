/**
 * READ FIRST of this folder. Looks at a running server: its own stream of looks, or one question a second where it has none.
 *
 *   look.ts, or saved.ts: a window ─► src/doctor ─► text.ts: findings for people
 *   looking-line.ts: how long it still looks
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type LiveStatus, Millrace, MillraceError } from "millrace-client";
import type { LiveSample } from "millrace-client/wire";
import { type ReadResult, readLook, readSample } from "../../doctor/read-window.js";
import type { DoctorWindow, WholeLook } from "../../doctor/window.js";
import { liveSampleOf } from "../../metrics/live-sample.js";
import { keyOf, type ServerFlags } from "../remote.js";
import { tellOfAdminPort } from "../status.js";
import { LookingLine } from "./looking-line.js";

export interface LookOptions extends ServerFlags {
  readonly forMs: number;
  readonly progress: boolean;
  /** Ends it early, with what was seen by then. */
  readonly signal: AbortSignal;
  /** A server that says nothing for so long has stopped to: what is asked for is in its memory. Default: 10 s. */
  readonly silenceMsMax?: number;
}

const everyMs = 1_000;
const silenceMsMaxDefault = 10_000;

/** @throws MillraceError where nothing was seen at all */
export async function lookAt(options: LookOptions): Promise<DoctorWindow> {
  const { forMs, signal, silenceMsMax = silenceMsMaxDefault } = options;
  await using client = new Millrace(options.url, {
    retry: { attemptsMax: 1 },
    headMsMax: silenceMsMax,
    silenceMsMax,
    ...keyOf(options),
  });
  using line = new LookingLine(options);
  const seen = new Seen();
  const deadlineMs = performance.now() + forMs + everyMs;
  // The last look is the one that comes when the time is over.
  const isOver = (): boolean =>
    signal.aborted || seen.spanMs >= forMs - everyMs / 2 || performance.now() >= deadlineMs;
  let watch = watched;
  while (!isOver()) {
    let looks = 0;
    try {
      for await (const live of watch(client, signal)) {
        seen.add(live);
        looks += 1;
        line.at(seen.spanMs);
        if (isOver()) break;
      }
    } catch (error) {
      if (signal.aborted) break;
      const hasAnotherWay = watch === watched && looks === 0;
      // A server that is started anew is part of what is looked at.
      if (!hasAnotherWay && (seen.isEmpty || !isPassing(error))) throw error;
    }
    // An older server has no such stream, one that drains tells nobody any more, and something between may hold it back.
    if (looks === 0 && watch === watched) watch = polled;
    else if (!isOver()) await sleep(everyMs, undefined, { signal }).catch(() => {});
  }
  return seen.window();
}

/** Whole, and in few words: both are what the doctor knows. */
interface SeenLook {
  readonly look: WholeLook;
  readonly sample: LiveSample;
}

async function* watched(client: Millrace, signal: AbortSignal): AsyncGenerator<SeenLook> {
  for await (const { sample: told, status, nodes } of client.watchStatus({ signal })) {
    const sample = known(readSample(told));
    yield { look: known(readLook({ atMs: sample.atMs, status, nodes })), sample };
  }
}

async function* polled(client: Millrace, signal: AbortSignal): AsyncGenerator<SeenLook> {
  let isOneOfSeveral = true;
  for (;;) {
    const status = await client.status({ signal }).catch(tellOfAdminPort);
    // Asked once where it is for itself: what is refused is counted.
    const nodes: LiveStatus["nodes"] = isOneOfSeveral ? await nodesOf(client, signal) : null;
    isOneOfSeveral = nodes !== null;
    const look = known(readLook({ atMs: Date.now(), status, nodes }));
    yield { look, sample: liveSampleOf(look.status, look.atMs) };
    await sleep(everyMs, undefined, { signal });
  }
}

/** A server of another version may say what this doctor does not know. */
function known<Value>(read: ReadResult<Value>): Value {
  if ("value" in read) return read.value;
  const message = `the status is none that this doctor knows: ${read.problem}`;
  throw new MillraceError("response_invalid", message);
}

async function nodesOf(client: Millrace, signal: AbortSignal): Promise<LiveStatus["nodes"]> {
  try {
    return await client.nodes({ signal });
  } catch (error) {
    if (isUnknown(error)) return null;
    throw error;
  }
}

/** The server is older than the route, or is for itself. */
function isUnknown(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "not_found";
}

function isPassing(error: unknown): boolean {
  return error instanceof MillraceError && error.retryable;
}

class Seen {
  /** By this process' own clock: those of the machines may be set meanwhile. */
  #sinceMs = 0;
  #spanMs = 0;
  #before: WholeLook | null = null;
  #after: WholeLook | null = null;
  readonly #samples: LiveSample[] = [];

  get isEmpty(): boolean {
    return this.#before === null;
  }

  get spanMs(): number {
    return this.#spanMs;
  }

  add({ look, sample }: SeenLook): void {
    const nowMs = performance.now();
    if (this.#before === null) this.#sinceMs = nowMs;
    this.#spanMs = nowMs - this.#sinceMs;
    this.#before ??= look;
    this.#after = look;
    this.#samples.push(sample);
  }

  window(): DoctorWindow {
    if (this.#before === null || this.#after === null)
      throw new MillraceError("cancelled", "it ended before the server was seen once");
    return { before: this.#before, after: this.#after, samples: this.#samples };
  }
}
