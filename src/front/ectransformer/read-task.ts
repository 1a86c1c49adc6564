/** A message of a client → a task: what is translated, and under which names its parts are published. */
import { MillraceError } from "millrace-client/wire";
import { parseJson } from "../../work/json-object.js";
import { isJsonObject } from "../../work/payload.js";
import { utf8Text } from "../utf8-text.js";

export interface EctransTask {
  readonly kind: "texts" | "tokenIds";
  /** Entries as they came: the task reads them. */
  readonly list: readonly unknown[];
  readonly name: TaskName;
  /** Both are ours, for who can say more than the clients do; null: nothing was said. */
  readonly key: string | null;
  readonly model: string | null;
}

export interface TaskName {
  /** What subscriptions to it have in common. */
  readonly topic: string;
  /** Under the name of each part. */
  readonly id: string;
  /** The part is the message's own, or it is cut into parts. */
  readonly parts: "one" | "many";
}

/** Of a name that a client makes up; its subscription is a prefix of JSON, so what JSON would escape is none. */
const namePattern = /^[^"\\\p{Cc}\p{Cs}]{1,256}$/u;

/** @throws MillraceError `bad_encoding`, `bad_request` */
export function parseMessage(frames: readonly Buffer[]): Readonly<Record<string, unknown>> {
  const [frame] = frames;
  if (frame === undefined || frames.length !== 1) {
    throw bad(`a task is one frame; this message has ${frames.length}`);
  }
  const text = utf8Text(frame, "the task");
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw bad("a task is JSON, and this is not", cause);
  }
  if (isJsonObject(value)) return value;
  throw bad('a task is a JSON object: {"tid", "texts", "length"}');
}

/** The name and the length of a message that is too large to be read: clients write the one first and the other last. */
export function peekMessage(frames: readonly Buffer[]): Readonly<Record<string, unknown>> {
  const [frame = Buffer.alloc(0)] = frames;
  const head = frame.toString("utf8", 0, 1_024);
  const tail = frame.toString("latin1", Math.max(0, frame.length - 64));
  const [, key = "", name = ""] =
    /^\s*\{\s*"(tid|id)"\s*:\s*("[^"\\]{1,256}"|\d{1,16})\s*,/.exec(head) ?? [];
  const [, length = ""] = /"length"\s*:\s*(\d{1,9})\s*\}\s*$/.exec(tail) ?? [];
  if (name === "") return {};
  return { [key]: JSON.parse(name), ...(length === "" ? {} : { length: Number(length) }) };
}

/** Null where it has none that anybody could subscribe to. */
export function taskNameOf({ tid, id }: Readonly<Record<string, unknown>>): TaskName | null {
  if (tid === undefined && typeof id === "string" && namePattern.test(id)) {
    return { topic: taskOf(id), id, parts: "one" };
  }
  const name = typeof tid === "number" && Number.isSafeInteger(tid) ? String(tid) : tid;
  if (typeof name !== "string" || !namePattern.test(name)) return null;
  return { topic: topicOfName(name), id: name, parts: "many" };
}

/** @throws MillraceError `bad_request` */
export function readTask(
  message: Readonly<Record<string, unknown>>,
  name: TaskName | null,
): EctransTask {
  if (name === null) {
    throw bad("`tid` is missing: a whole number below 2^53, or a text without quotes", null, "tid");
  }
  const { texts, length, key, model } = message;
  if (!Array.isArray(texts))
    throw bad("`texts` must be a list of texts or of token ids", null, "texts");
  const list: readonly unknown[] = texts;
  if (length !== undefined && length !== list.length) {
    throw bad(`\`length\` is not that of \`texts\`, which is ${list.length}`, null, "length");
  }
  const areLists = list.length > 0 && list.every((each) => Array.isArray(each));
  return {
    kind: areLists ? "tokenIds" : "texts",
    list,
    name,
    key: textOf(key, "key"),
    model: textOf(model, "model"),
  };
}

/** How many results the client waits for, as far as its message says so. */
export function awaitedOf({ texts, length }: Readonly<Record<string, unknown>>): number {
  if (Array.isArray(texts)) return texts.length;
  return typeof length === "number" && Number.isSafeInteger(length) && length > 0 ? length : 0;
}

/**
 * A client subscribes to the beginning of its results, `{"client_id":"<tid>`; older ones to `{"id":"<task>`. Whatever else is
 * subscribed to is a topic of its own.
 */
export function topicOfSubscription(subscription: string): string {
  const [, name] = /^\{"(?:client_id|id)":"(.+)$/.exec(subscription) ?? [];
  return name === undefined ? subscription : topicOfName(name);
}

/**
 * The results of that one task: what a client subscribes to is also the beginning of those of tasks with longer names. Empty where it
 * names none.
 */
export function grantsOfSubscription(subscription: string): readonly string[] {
  const [, name] = /^\{"(?:client_id|id)":"([^"]+)/.exec(subscription) ?? [];
  if (name === undefined) return [];
  const isWhole =
    subscription.endsWith("_") || /^\d+_\d+$/.test(name) || !subscription.endsWith(name);
  return isWhole ? [subscription] : [`${subscription}_`, `${subscription}"`];
}

/** Numbers that are counted on are parts of the task, or messages of an older client. */
function topicOfName(name: string): string {
  return /^(\d+)_\d*$/.exec(name)?.[1] ?? name;
}

function taskOf(id: string): string {
  return /^(.+)_\d+$/.exec(id)?.[1] ?? id;
}

function textOf(value: unknown, param: string): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return value;
  throw bad(`\`${param}\` must be a text`, null, param);
}

function bad(message: string, cause: unknown = null, param: string | null = null): MillraceError {
  return new MillraceError("bad_request", message, {
    ...(cause === null ? {} : { cause }),
    ...(param === null ? {} : { param }),
  });
}
