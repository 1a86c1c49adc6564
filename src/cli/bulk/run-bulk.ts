/** Entries → requests → outcomes in the order of the entries, with a bar and a line for each that failed. */
import { setTimeout as sleep } from "node:timers/promises";
import { type EachSummary, type ItemError, MillraceError } from "millrace-client";
import { errorText } from "../program.js";
import {
  type BulkEntry,
  type BulkOutput,
  type BulkSource,
  type InputPlace,
  inputName,
} from "./entry.js";
import type { ProgressBar } from "./progress-bar.js";

export interface BulkRun<Value, Result extends object> {
  readonly source: BulkSource<Value>;
  /** The client's method for a source of any length. */
  readonly each: (
    inputs: AsyncIterable<Value | MillraceError>,
    onProgress: () => void,
  ) => AsyncGenerator<{ readonly index: number } & (Result | ItemError), EachSummary, undefined>;
  readonly output: BulkOutput<Result>;
  readonly bar: ProgressBar;
}

export interface BulkSums extends Omit<EachSummary, "inputs"> {
  readonly total: number;
}

/** Rejects when a request fails and no input is to blame; what came before it has then been put out. */
export async function runBulk<Value, Result extends object>(
  { source, each, output, bar }: BulkRun<Value, Result>,
  signal: AbortSignal,
): Promise<BulkSums> {
  const counting = new AbortController();
  if (bar.isShown && source.count !== null) void showTotal(source.count(counting.signal), bar);
  // Of what is under way: no more than a few requests have.
  const underWay: Underway[] = [];
  let [total, failed] = [0, 0];
  const stream = each(inputsOf(source.entries, underWay), () => bar.step());
  try {
    for (;;) {
      const coming = stream.next();
      if (output.flush !== undefined && !(await isNear(coming))) await output.flush();
      const next = await coming;
      if (next.done === true) {
        const { requests, pipelines } = next.value;
        return { total, failed, requests, pipelines };
      }
      const entry = underWay.shift();
      if (entry === undefined) throw new Error("an outcome of nothing that was sent");
      const { index: _index, ...outcome } = next.value;
      const isError = "error" in outcome && !entry.isSkipped;
      const failure = isError ? placeless(outcome as ItemError) : null;
      total += 1;
      if (failure !== null) {
        failed += 1;
        bar.say(failureText(entry.place, failure));
      }
      const put = entry.isSkipped ? null : (failure ?? (outcome as Result));
      await output.put(entry.place, put);
      signal.throwIfAborted();
    }
  } finally {
    counting.abort();
    await stream.return(undefined as never);
    bar.stop();
  }
}

/** What comes faster than this is written together; nobody looks at a file more often. */
const restMs = 200;

/** Whether it settles soon. Most do without waiting for anything outside of this process, and need no timer. */
async function isNear(coming: Promise<unknown>): Promise<boolean> {
  const settled = coming.then(
    () => true,
    () => true,
  );
  const turn = new Promise<boolean>((resolve) => setImmediate(resolve, false));
  if (await Promise.race([settled, turn])) return true;
  const resting = new AbortController();
  const rest = sleep(restMs, false, { signal: resting.signal }).catch(() => true);
  const isSettled = await Promise.race([settled, rest]);
  resting.abort();
  return isSettled;
}

interface Underway {
  readonly place: InputPlace;
  readonly isSkipped: boolean;
}

/** What is not sent goes its way as an error, so that it counts to what is under way. */
async function* inputsOf<Value>(
  entries: AsyncIterable<BulkEntry<Value>>,
  underWay: Underway[],
): AsyncGenerator<Value | MillraceError> {
  for await (const { place, input } of entries) {
    underWay.push({ place, isSkipped: input === null });
    yield input ?? new MillraceError("input_empty", "Nothing is in it.");
  }
}

/** An input's place in its request says nothing to anybody here, and is another one when a run was gone on with. */
function placeless({ error: { code, message, retryable, param } }: ItemError): ItemError {
  const told =
    param === undefined
      ? message
      : message.replaceAll(`\`${param}\``, "it").replaceAll(param, "it");
  return { error: { code, message: told, retryable } };
}

function failureText(place: InputPlace, { error }: ItemError): string {
  return errorText({ code: error.code, message: `${inputName(place)}: ${error.message}` });
}

async function showTotal(counted: Promise<number>, bar: ProgressBar): Promise<void> {
  try {
    bar.total(await counted);
  } catch {
    // It was ended with the run, or what reads the entries meets the same problem and says so.
  }
}
