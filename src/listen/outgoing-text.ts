/** What waits for its reader: it is handed to a socket part by part, and cut only when its turn comes. */
export type OutgoingText = string | Buffer;

export interface WaitingText {
  readonly whole: OutgoingText;
  /** Where the next part begins. */
  from: number;
}

/** What is handed to a socket at once, hence the least that must be taken within the time for it. */
export const partBytes: number = 16 * 1024;
/** A character takes at most three bytes: so many fit into a part whatever they are. */
const shortCharactersMax = partBytes / 3;

/** What is long leaves the heap of JavaScript. */
export function outgoingText(data: string | Uint8Array): OutgoingText {
  if (typeof data !== "string") return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return data.length > shortCharactersMax ? Buffer.from(data) : data;
}

/** At the most, in the heap or beside it, with the place in the list. */
export function heldBytesOf(whole: OutgoingText): number {
  return (typeof whole === "string" ? 2 : 1) * whole.length + 64;
}
