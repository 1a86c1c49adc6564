/** Whether a process is there; Node asks every system in the same way. */
import { hasCode } from "../work/thrown.js";

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is another user's.
    return hasCode(error, "EPERM");
  }
}
