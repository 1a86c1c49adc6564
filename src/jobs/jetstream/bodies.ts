/**
 * Chunks and results as messages. What is larger than a message may be has its rest in parts, which are stored before it: who reads
 * the message finds all of them, and where it is not stored (somebody else's stays) the parts are taken away again.
 */
import { randomUUID } from "node:crypto";
import { JetStreamApiError } from "@nats-io/jetstream";
import { MillraceError } from "millrace-client/wire";
import { natsHeaders } from "../../nats/headers.js";
import type { Names } from "./names.js";
import type { Nats, StoreSession } from "./session.js";

/** A message's numbers, and its parts where it has some: `0 128;3 <write>`. */
const aboutHeader = "Millrace-About";
const aboutPattern = /^([\d ]*);(\d+) ([\w-]+)$/;
/** Beside its bytes a message has headers, within the same limit. */
const headersBytesMax = 4 * 1024;
/** Sequences of a stream that are purged at once. */
const portion = 4_096;
/** Of NATS for whatever a stream does not take, a full disk among it; only the words say which. */
const notStoredCode = 10_077;
const subjectTakenWords = "per subject";

export interface BodyPlace {
  readonly stream: string;
  readonly subject: string;
  /** Of the file or job, whose parts these are. */
  readonly ownerId: string;
}

/** Of messages of a stream, both ends with it. */
export interface SequenceRange {
  readonly from: number;
  readonly to: number;
}

export interface StoredBody {
  readonly sequence: number;
  readonly numbers: readonly number[];
  readonly bytes: Uint8Array;
}

export class Bodies {
  readonly #session: StoreSession;
  readonly #names: Names;

  constructor(session: StoreSession, names: Names) {
    this.#session = session;
    this.#names = names;
  }

  /** Gives its sequence; null: the subject is taken, in a stream where the first message stays. One that cannot be read is replaced. */
  async put(
    place: BodyPlace,
    numbers: readonly number[],
    bytes: Uint8Array,
  ): Promise<{ readonly sequence: number } | null> {
    const { ownerId, subject } = place;
    const write = randomUUID();
    const parts = await this.#putParts(ownerId, write, bytes);
    const about = `${numbers.join(" ")};${parts} ${write}`;
    const headers = natsHeaders({ [aboutHeader]: about });
    const { stream } = place;
    const rest = bytes.subarray(parts * this.#partBytes);
    const stored = await this.#session.run(async ({ js, jsm }) => {
      for (;;) {
        try {
          return { sequence: (await js.publish(subject, rest, { headers })).seq };
        } catch (error) {
          if (!isTaken(error)) throw error;
          // Maybe by this very write, whose answer never came.
          const there = await jsm.streams.getMessage(stream, { last_by_subj: subject });
          if (there === null) throw error;
          const found = there.header.get(aboutHeader);
          if (found === about) return { sequence: there.seq };
          if (aboutPattern.test(found)) return null;
          await jsm.streams.deleteMessage(stream, there.seq, false);
        }
      }
    });
    if (stored === null && parts > 0) await this.removeParts(ownerId, write);
    return stored;
  }

  /** @throws MillraceError `job_data_lost`: a part of it is gone, or it is damaged */
  async get({ stream, subject, ownerId }: BodyPlace): Promise<StoredBody | null> {
    return await this.#session.run(async (nats) => {
      const message = await messageAt(nats, stream, subject);
      if (message === null) return null;
      const about = aboutOf(message.header.get(aboutHeader));
      if (about.parts === 0) {
        return { sequence: message.seq, numbers: about.numbers, bytes: message.data };
      }
      const pieces: Uint8Array[] = [];
      for (let part = 0; part < about.parts; part++) {
        const at = this.#names.parts(ownerId, `${about.write}.${part}`);
        const piece = await messageAt(nats, this.#names.chunks, at);
        if (piece === null) {
          throw new MillraceError("job_data_lost", `JetStream has lost a part of ${subject}`);
        }
        pieces.push(piece.data);
      }
      pieces.push(message.data);
      return { sequence: message.seq, numbers: about.numbers, bytes: Buffer.concat(pieces) };
    });
  }

  /**
   * Many messages of one filter, a portion at a time: NATS does nothing else on a stream while it purges, and a job of millions of
   * lines would take it seconds. Where their sequences are not known, at once.
   */
  async purge(stream: string, filter: string, range: SequenceRange | null): Promise<void> {
    const { from, to } = range ?? { from: 1, to: 0 };
    for (let seq = from + portion; seq <= to; seq += portion) {
      await this.#session.run(({ jsm }) => jsm.streams.purge(stream, { filter, seq }));
    }
    await this.#session.run(({ jsm }) => jsm.streams.purge(stream, { filter }));
  }

  /** All of the owner's, or those of one write. */
  async removeParts(ownerId: string, write?: string): Promise<void> {
    const filter = this.#names.parts(ownerId, write === undefined ? undefined : `${write}.>`);
    await this.#session.run(({ jsm }) => jsm.streams.purge(this.#names.chunks, { filter }));
  }

  get #partBytes(): number {
    return this.#session.messageBytesMax - headersBytesMax;
  }

  async #putParts(ownerId: string, write: string, bytes: Uint8Array): Promise<number> {
    const partBytes = this.#partBytes;
    let parts = 0;
    for (; bytes.length - parts * partBytes > partBytes; parts++) {
      const at = this.#names.parts(ownerId, `${write}.${parts}`);
      const part = bytes.subarray(parts * partBytes, (parts + 1) * partBytes);
      await this.#session.run(({ js }) => js.publish(at, part));
    }
    return parts;
  }
}

/** In a stream where the first message of a subject stays. */
export function isTaken(error: unknown): boolean {
  if (!(error instanceof JetStreamApiError) || error.code !== notStoredCode) return false;
  return error.message.includes(subjectTakenWords);
}

/** The numbers that a message was put with, from its headers alone. */
export function numbersOf(headers: { get(name: string): string } | undefined): readonly number[] {
  return aboutOf(headers?.get(aboutHeader) ?? "").numbers;
}

function aboutOf(text: string): {
  readonly numbers: readonly number[];
  readonly parts: number;
  readonly write: string;
} {
  const [, numbers = "", parts = "", write = ""] = aboutPattern.exec(text) ?? [];
  if (write === "") {
    throw new MillraceError("job_data_lost", "a message in the job store is not ours");
  }
  return { numbers: numbers.split(" ").map(Number), parts: Number(parts), write };
}

/** From whichever server is near; one that is behind the others may not have it yet, so the leader is asked before it is missing. */
async function messageAt({ jsm }: Nats, stream: string, subject: string) {
  const query = { last_by_subj: subject };
  return (
    (await jsm.direct.getMessage(stream, query)) ?? (await jsm.streams.getMessage(stream, query))
  );
}
