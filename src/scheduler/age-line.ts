import { firstPlace } from "./first-place.js";
import type { RequestEntry } from "./request-book.js";

/** Requests in the order of their arrival; read-only. */
export interface ReadonlyLine {
  readonly size: number;
  /** The oldest. */
  readonly first: RequestEntry | undefined;
  /** Oldest first. The line must not change meanwhile. */
  ordered(): Generator<RequestEntry, void, undefined>;
  /** The same for where it is read all the time. */
  cursor(): LineCursor;
}

/** More members are cut into two chunks. */
const chunkMembersMax = 128;

/**
 * Requests by age. Most come last and leave first, and most lines are short; so they stand in chunks, each sorted, and the chunks
 * are sorted too. Any member is found by two binary searches, and only its chunk moves up behind it.
 *
 * ```
 *   chunks  [ r1 r4 r5 ]  [ r8 r9 … ]  [ … r77 ]        add r78: at the end     delete r9: within its chunk
 * ```
 * O(log n) to find, O(1) for the oldest and for the next in order. At most `chunkMembersMax` entries move within a chunk; where one
 * is emptied or cut, all chunks behind it move too, a hundredth as many as there are members. Chunks are never merged: those that
 * cancellations leave behind stay short until they are empty. An array costs a quarter of a heap that knows where each of its members
 * stands, in memory and time.
 */
export class AgeLine implements ReadonlyLine {
  readonly chunks: RequestEntry[][] = [];
  size = 0;
  /** Beside the chunks, for heads are all that is read of most lines. */
  first: RequestEntry | undefined;

  /** Adding a member twice changes nothing. */
  add(member: RequestEntry): void {
    const last = this.chunks.at(-1);
    if (last === undefined) this.chunks.push([member]);
    else if (!isOlder(last.at(-1), member)) {
      if (!this.#insert(member)) return;
    } else if (last.length < chunkMembersMax) last.push(member);
    // Cut in two, those that come in order would leave every chunk half empty.
    else this.chunks.push([member]);
    this.size += 1;
    this.first = this.chunks[0]?.[0];
  }

  #insert(member: RequestEntry): boolean {
    const at = this.#chunkOf(member);
    const chunk = this.chunks[at];
    if (chunk === undefined) return false;
    const place = placeIn(chunk, member);
    if (chunk[place] === member) return false;
    chunk.splice(place, 0, member);
    if (chunk.length > chunkMembersMax)
      this.chunks.splice(at + 1, 0, chunk.splice(chunkMembersMax / 2));
    return true;
  }

  delete(member: RequestEntry): boolean {
    // The oldest is who leaves mostly.
    const at = this.first === member ? 0 : this.#chunkOf(member);
    const chunk = this.chunks[at];
    if (chunk === undefined) return false;
    const place = chunk[0] === member ? 0 : placeIn(chunk, member);
    if (chunk[place] !== member) return false;
    if (place === 0) chunk.shift();
    else chunk.splice(place, 1);
    if (chunk.length === 0) this.chunks.splice(at, 1);
    this.size -= 1;
    if (at === 0) this.first = this.chunks[0]?.[0];
    return true;
  }

  *ordered(): Generator<RequestEntry, void, undefined> {
    for (const chunk of this.chunks) yield* chunk;
  }

  cursor(): LineCursor {
    return new LineCursor(this.chunks);
  }

  /** The last chunk that begins at it or before it; the first, where it comes before all. */
  #chunkOf({ sequence }: RequestEntry): number {
    return Math.max(0, firstPlace(this.chunks, firstSequenceOf, sequence + 1) - 1);
  }
}

/** Reads a line from the oldest on: `current` is undefined behind the last. */
export class LineCursor {
  readonly #chunks: readonly (readonly RequestEntry[])[];
  #chunk = 0;
  #place = 0;
  current: RequestEntry | undefined;

  constructor(chunks: readonly (readonly RequestEntry[])[]) {
    this.#chunks = chunks;
    this.current = chunks[0]?.[0];
  }

  next(): void {
    this.#place += 1;
    this.current = this.#chunks[this.#chunk]?.[this.#place];
    if (this.current !== undefined) return;
    this.#chunk += 1;
    this.#place = 0;
    this.current = this.#chunks[this.#chunk]?.[0];
  }
}

function isOlder(a: RequestEntry | undefined, b: RequestEntry): boolean {
  return a !== undefined && a.sequence < b.sequence;
}

/** Where it stands, or would stand. */
function placeIn(chunk: readonly RequestEntry[], { sequence }: RequestEntry): number {
  return firstPlace(chunk, sequenceOf, sequence);
}

function sequenceOf({ sequence }: RequestEntry): number {
  return sequence;
}

/** No chunk is empty. */
function firstSequenceOf(chunk: readonly RequestEntry[]): number {
  return chunk[0]?.sequence ?? 0;
}
