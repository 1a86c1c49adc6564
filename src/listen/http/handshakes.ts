/**
 * TLS connections whose handshake is not over: they have no place among the connections yet, and cost memory and a key exchange. As
 * many as there are extra places; then the oldest goes, which has had the longest time.
 */
import type { Socket } from "node:net";

const handshakesMax = 256;

export class Handshakes {
  /** By the caller's end, which both the plain socket and the one above it tell; in the order in which they came. */
  readonly #open = new Map<string, Socket>();

  began(socket: Socket): void {
    const end = endOf(socket);
    this.#open.set(end, socket);
    socket.once("close", () => this.#forget(end, socket));
    const [oldest] = this.#open.values();
    if (this.#open.size > handshakesMax) oldest?.destroy();
  }

  ended(socket: Socket): void {
    this.#open.delete(endOf(socket));
  }

  #forget(end: string, socket: Socket): void {
    if (this.#open.get(end) === socket) this.#open.delete(end);
  }
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
