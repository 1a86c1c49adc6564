/**
 * Who is still there. Each second both ends of every conversation say that they live, once for all that they have open between them,
 * with what each has sent: the other side then knows as well that a last message never came.
 */
import { isJsonObject } from "../work/payload.js";
import { encodePart } from "./parts.js";

export const beatMs = 1_000;
/** An edge sends what a node has not answered elsewhere. A second more than three beats: one may come late. */
export const nodeSilentBeatsMax = 3;
/** A node stops to work for an edge that is gone. Longer, so that an edge that gave up on it has said so before. */
export const edgeSilentBeatsMax = 5;
/** In one message: whatever NATS takes, it takes that. */
const openMax = 500;

export interface OpenConversation {
  /** Of the request. */
  readonly number: number;
  readonly sent: number;
}

/** Each a message; at least one: that there is nothing open is news too. */
export function encodeBeats(open: readonly OpenConversation[]): Buffer[] {
  const beats: Buffer[] = [];
  for (let from = 0; from === 0 || from < open.length; from += openMax) {
    const list = open.slice(from, from + openMax).flatMap(({ number, sent }) => [number, sent]);
    const json = Buffer.from(JSON.stringify({ open: list }));
    beats.push(encodePart({ kind: "beat", json }));
  }
  return beats;
}

/** Empty where it is none. */
export function readBeat(json: Uint8Array): OpenConversation[] {
  const beat: unknown = parse(json);
  const list: unknown = isJsonObject(beat) ? beat["open"] : null;
  if (!Array.isArray(list) || list.length > 2 * openMax) return [];
  const open: OpenConversation[] = [];
  for (let at = 0; at + 1 < list.length; at += 2) {
    const [number, sent]: readonly unknown[] = [list[at], list[at + 1]];
    if (isCount(number) && isCount(sent)) open.push({ number, sent });
  }
  return open;
}

function parse(json: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString());
  } catch {
    return null;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
