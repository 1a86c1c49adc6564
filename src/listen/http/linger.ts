/** Closing a socket with unread bytes sends a reset, and the reset may overtake the reply: so it is read on for a bounded time. */
import type { Socket } from "node:net";

/** So long whatever still comes is thrown away, so that the caller gets to read the reply before the close. */
export const lingerMs = 1_000;

/** Of a socket whose last bytes were written. */
export function lingerThenDestroy(socket: Socket): void {
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(timer));
}
