/**
 * READ SECOND. What an edge and a node say to each other about one request:
 *
 *   edge                                   node
 *     │ ───────────── ask ──────────────────►│   the request as it came in, its inputs not yet read there
 *     │ ◄────────── accepted ────────────────│   nothing at the node's door refused it; not where outcomes say so at once
 *     │ ◄────────── outcomes ────────────────│   as they come, several together
 *     │ ◄──────── done │ failed ─────────────│   the summary; or why the whole of it is not done
 *     │ ───────────── leave ────────────────►│   nobody waits for it any more (parts.ts)
 *     │ ◄──────────── beats ────────────────►│   each second, for all requests between the two
 *
 * Times travel as what is left of them: clocks of machines differ. What is read here comes from a machine that may be of another
 * version, so every field is checked.
 */
import {
  isErrorCode,
  MillraceError,
  type RequestTimings,
  type WireError,
  type WorkClass,
} from "millrace-client/wire";
import { TailReader, TailWriter } from "../frames/tail.js";
import { isJsonObject, type JsonObject, type JsonValue, type Payload } from "../work/payload.js";
import type { CarriedTrace } from "../work/trace-context.js";
import { carryFields, uncarryFields } from "./carried-fields.js";

/** Another one is refused by name. */
const askVersion = 1;

export interface AskMessage extends CarriedTrace {
  readonly id: string;
  readonly task: string;
  readonly model: string;
  readonly class: WorkClass | null;
  readonly tenant: string;
  /** Null: no deadline. */
  readonly remainingMs: number | null;
  /** The caller named it; a server of an earlier version does not say. */
  readonly isDeadlineNamed: boolean;
  readonly payloadBytes: number;
  /** Places of the inputs that are wanted; null: all. */
  readonly only: readonly number[] | null;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type OutcomeMessage =
  | { readonly index: number; readonly value: Payload }
  | { readonly index: number; readonly error: WireError };

export interface DoneSummary {
  readonly task: string;
  readonly model: string;
  readonly class: WorkClass;
  readonly inputs: number;
  readonly timings: RequestTimings;
  readonly pipelines: Readonly<Record<string, number>>;
}

export type AnswerMessage =
  | { readonly type: "accepted" }
  | { readonly type: "outcomes"; readonly outcomes: readonly OutcomeMessage[] }
  | { readonly type: "done"; readonly summary: DoneSummary }
  | { readonly type: "failed"; readonly error: MillraceError };

export interface EncodedMessage {
  readonly head: string;
  readonly tail?: TailWriter;
}

export function encodeAsk({ fields, ...rest }: AskMessage): EncodedMessage {
  const { payload, places } = carryFields(fields);
  const tail = new TailWriter();
  const entry = tail.add(0, payload);
  const open = JSON.stringify({ type: "ask", version: askVersion, ...rest, places }).slice(0, -1);
  return { head: `${open},"fields":${entry}}`, tail };
}

/** @throws MillraceError `bad_request` where it is none */
export function readAsk(head: JsonObject, tail: Uint8Array): AskMessage {
  const { type, version, id, task, model, tenant, remainingMs, payloadBytes, only } = head;
  if (type !== "ask" || version !== askVersion) {
    throw wrong(`of version ${JSON.stringify(version ?? null)}; this node speaks ${askVersion}`);
  }
  const workClass = head["class"];
  const isDeadlineNamed = head["isDeadlineNamed"] ?? false;
  const reader = new TailReader(tail);
  const entry = reader.take(head["fields"]);
  const fields = entry === null ? null : uncarryFields(entry.payload, head["places"]);
  if (fields === null || !reader.isAtEnd) throw wrong("whose fields are wrong");
  if (typeof id !== "string" || typeof task !== "string" || typeof model !== "string")
    throw wrong();
  if (typeof tenant !== "string" || !isAmount(payloadBytes)) throw wrong();
  if (remainingMs !== null && typeof remainingMs !== "number") throw wrong();
  if (typeof isDeadlineNamed !== "boolean") throw wrong();
  if (workClass !== null && !isWorkClass(workClass)) throw wrong();
  const wanted = only === null ? null : placesOf(only);
  const asked = { id, task, model, tenant, remainingMs, payloadBytes, fields };
  return { ...asked, isDeadlineNamed, class: workClass, only: wanted };
}

/** In rising order, so that none comes twice. */
function placesOf(only: JsonValue | undefined): readonly number[] {
  if (!Array.isArray(only) || only.length === 0) throw wrong();
  let last = -1;
  return (only as readonly JsonValue[]).map((place) => {
    if (!isCount(place) || place <= last) throw wrong();
    last = place;
    return place;
  });
}

export function encodeAccepted(): EncodedMessage {
  return { head: '{"type":"accepted"}' };
}

export function encodeOutcomes(outcomes: readonly OutcomeMessage[]): EncodedMessage {
  const tail = new TailWriter();
  const list = outcomes.map((each) =>
    "value" in each ? tail.add(each.index, each.value) : JSON.stringify(each),
  );
  return { head: `{"type":"outcomes","outcomes":[${list.join()}]}`, tail };
}

export function encodeDone(summary: DoneSummary): EncodedMessage {
  return { head: JSON.stringify({ type: "done", summary }) };
}

export function encodeFailed(error: MillraceError): EncodedMessage {
  const { retryAfterMs = null } = error;
  return { head: JSON.stringify({ type: "failed", error: error.toWire(), retryAfterMs }) };
}

/** @throws Error where it is none: whoever sent it is not of this deployment's version. */
export function readAnswer(head: JsonObject, tail: Uint8Array): AnswerMessage {
  const { type } = head;
  switch (typeof type === "string" ? type : "") {
    case "accepted":
      return { type: "accepted" };
    case "outcomes":
      return { type: "outcomes", outcomes: readOutcomes(head["outcomes"], tail) };
    case "done":
      return { type: "done", summary: readSummary(head["summary"]) };
    case "failed": {
      const { code, message, param } = readError(head["error"]);
      const retryAfterMs = head["retryAfterMs"];
      const more = isAmount(retryAfterMs) ? { retryAfterMs } : {};
      const named = param === undefined ? more : { ...more, param };
      return { type: "failed", error: new MillraceError(code, message, named) };
    }
    default:
      throw new Error("a message of unknown type");
  }
}

function readOutcomes(list: JsonValue | undefined, tail: Uint8Array): OutcomeMessage[] {
  if (!Array.isArray(list)) throw new Error("outcomes that are no list");
  const reader = new TailReader(tail);
  const outcomes = (list as readonly JsonValue[]).map((entry): OutcomeMessage => {
    if (isJsonObject(entry)) {
      const { index, error } = entry;
      if (!isCount(index)) throw new Error("an outcome of no input");
      return { index, error: readError(error) };
    }
    const taken = reader.take(entry);
    if (taken === null) throw new Error("an outcome that is wrong");
    return { index: taken.itemId, value: taken.payload };
  });
  if (!reader.isAtEnd) throw new Error("a tail that is longer than its tensors");
  return outcomes;
}

function readError(value: JsonValue | undefined): WireError {
  if (!isJsonObject(value)) throw new Error("an error that is none");
  const { code, message, param } = value;
  // A node of a later version has codes that this one does not know.
  const known = isErrorCode(code) ? code : "internal";
  const text = typeof message === "string" ? message : "";
  const more = typeof param === "string" ? { param } : {};
  return new MillraceError(
    known,
    known === code ? text : `${JSON.stringify(code ?? null)}: ${text}`,
    more,
  ).toWire();
}

function readSummary(value: JsonValue | undefined): DoneSummary {
  if (!isJsonObject(value)) throw new Error("a summary that is none");
  const { task, model, inputs, timings, pipelines } = value;
  const workClass = value["class"];
  if (typeof task !== "string" || typeof model !== "string")
    throw new Error("a summary of nothing");
  if (!isWorkClass(workClass) || !isCount(inputs)) throw new Error("a summary of nothing");
  if (!isJsonObject(timings) || !isJsonObject(pipelines))
    throw new Error("a summary without times");
  const times = { prepareMs: 0, queueMs: 0, computeMs: 0, totalMs: 0 };
  for (const name of ["prepareMs", "queueMs", "computeMs", "totalMs"] as const) {
    const ms = timings[name];
    if (isAmount(ms)) times[name] = ms;
  }
  const counts = Object.entries(pipelines).flatMap(([id, count]) =>
    isCount(count) ? [[id, count] as const] : [],
  );
  return {
    task,
    model,
    class: workClass,
    inputs,
    timings: times,
    pipelines: Object.fromEntries(counts),
  };
}

function wrong(how = "with a field that is wrong"): MillraceError {
  return new MillraceError("bad_request", `a request from another node ${how}`);
}

function isAmount(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value < Infinity;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && isAmount(value);
}

function isWorkClass(value: unknown): value is WorkClass {
  return value === "realtime" || value === "bulk";
}
