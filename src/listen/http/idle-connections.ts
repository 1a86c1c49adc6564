/**
 * The connections that have a place and ask nothing: the one that has idled longest gives its place to whoever asks when
 * none is free, as in nginx. Else a thousand callers who keep their connections open would shut out everybody.
 *
 *   idle ─► asks: out ─► answered: in again, at the end
 *     │
 *     └─ bytes came that are no request yet ─► #begun: spared for as long as a head may take. Then Node has ended it,
 *                                              or the bytes were line ends, with which no request begins.
 *
 * Nobody tells of bytes that Node's parser takes: they are seen in `bytesRead` when a place is looked for.
 */
import type { Socket } from "node:net";
import { AgeQueue, type QueuePlace } from "../age-queue.js";

/** Shorter: the caller may be about to ask again. */
const idleMsMin = 1_000;

interface IdleConnection {
  readonly socket: Socket;
  readonly sinceMs: number;
  readonly bytesRead: number;
}

export class IdleConnections {
  readonly #headersTimeoutMs: number;
  readonly #nowMs: () => number;
  readonly #idle = new AgeQueue<IdleConnection>();
  readonly #begun = new AgeQueue<IdleConnection>();
  readonly #places = new Map<Socket, QueuePlace<IdleConnection>>();

  constructor(headersTimeoutMs: number, nowMs: () => number) {
    this.#headersTimeoutMs = headersTimeoutMs;
    this.#nowMs = nowMs;
  }

  /** From now on. */
  add(socket: Socket): void {
    this.#append(this.#idle, socket);
  }

  /** One that is not in it: nothing. */
  delete(socket: Socket): void {
    const place = this.#places.get(socket);
    place?.queue.remove(place);
    this.#places.delete(socket);
  }

  /** The one that can be closed first, if any. */
  longest(): Socket | null {
    const nowMs = this.#nowMs();
    for (let { oldest } = this.#idle; oldest !== null; { oldest } = this.#idle) {
      const { socket, sinceMs, bytesRead } = oldest.value;
      if (nowMs - sinceMs < idleMsMin) break;
      if (socket.bytesRead === bytesRead) return socket;
      this.#append(this.#begun, socket);
    }
    const begun = this.#begun.oldest?.value;
    const late = begun !== undefined && nowMs - begun.sinceMs >= this.#headersTimeoutMs + idleMsMin;
    return late ? begun.socket : null;
  }

  #append(queue: AgeQueue<IdleConnection>, socket: Socket): void {
    this.delete(socket);
    const { bytesRead } = socket;
    const place = queue.append({ socket, sinceMs: this.#nowMs(), bytesRead });
    this.#places.set(socket, place);
  }
}
