/**
 * Linux can be asked to kill this process when its parent ends, whatever either of them is doing then: no thread waits for it.
 * Strictly, when the thread ends that spawned this process; a server whose thread has ended has no use for its pipelines.
 */
import koffi from "koffi";

/** Of `sys/prctl.h` and of `signal.h`. */
const setParentDeathSignal = 1;
const sigkill = 9;

/** False where the system knows no such thing. A parent that is gone already sends nothing. */
export function dieWithParent(): boolean {
  if (process.platform !== "linux") return false;
  try {
    const prctl = koffi.load(null).func("int prctl(int option, unsigned long argument)");
    return prctl(setParentDeathSignal, sigkill) === 0;
  } catch {
    // A sandbox that refuses the call, or a C library without it.
    return false;
  }
}
