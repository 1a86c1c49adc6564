/**
 * Linux can be asked to kill this process when its parent ends, whatever either of them is doing then: no thread waits for it.
 * Strictly, when the thread ends that spawned this process; a server whose thread has ended has no use for its pipelines.
 */
import { createRequire } from "node:module";
import type * as Koffi from "koffi";

/** Of `sys/prctl.h` and of `signal.h`. */
const setParentDeathSignal = 1;
const sigkill = 9;

/** False where it cannot be asked. A parent that is gone already sends nothing. */
export function dieWithParent(): boolean {
  try {
    // Only a pipeline calls it: no other process has to load what calls libraries.
    const koffi = createRequire(import.meta.url)("koffi") as typeof Koffi;
    const prctl = koffi.load(null).func("int prctl(int option, unsigned long argument)");
    return prctl(setParentDeathSignal, sigkill) === 0;
  } catch {
    // A sandbox that refuses the call, or a C library without it.
    return false;
  }
}
