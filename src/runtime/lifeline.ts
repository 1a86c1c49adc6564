/** Reads the lifeline of parent-watch.ts, on the event loop of the thread that calls it: its end is the end of this process. */
import { Socket } from "node:net";

export function endWithLifeline(fd: number): Socket {
  const lifeline = new Socket({ fd, readable: true, writable: false });
  // SIGKILL and not exit: exit would wait for the main thread, which may be inside a run.
  const end = (): void => void process.kill(process.pid, "SIGKILL");
  lifeline.on("error", end);
  lifeline.on("close", end);
  return lifeline.resume();
}
