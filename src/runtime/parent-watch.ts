/**
 * Ends this process when its parent is gone, whatever the parent died of and whatever this process is doing.
 *
 * The frames' socket (fd 3) closes too when the parent dies, but its reader is the main thread, and a model run
 * blocks the main thread. So Linux is asked to kill this process with its parent. What was asked too late, because the parent
 * had died before, the main thread sees: the parent gives each child a second socket pair, the lifeline (fd 4), on which
 * nobody ever writes, and the kernel closes the parent's end with the parent, also after SIGKILL.
 *
 * Where the system has no such signal, a thread with an event loop of its own reads the lifeline. That is 7 MiB more.
 *
 *   parent ════ fd 3, frames ═════► main thread      blocked during a run
 *          ──── fd 4, lifeline ───► main thread      and the kernel's signal, at any time
 *                              or ► watching thread  never blocked
 *
 * The entry calls `watchParent()` first of all, before it does anything:
 *
 *   watchParent();
 *   const channel = new Socket({ fd: framesFd });
 */
import { Worker } from "node:worker_threads";
import { platform } from "../platform/platform.js";
import { endWithLifeline } from "./lifeline.js";

/** The parent's frames arrive here, and the child's leave. */
export const framesFd = 3;
/** The end of this stream is the end of the parent. */
const lifelineFd = 4;

/**
 * Also turns a deaf ear to the signals that a terminal or a service manager sends to the whole group: the parent
 * decides when its children end, or a drain would lose what they are working on. `askKernel` says whether it will kill this process.
 */
export function watchParent(askKernel: () => boolean = platform.dieWithParent): void {
  for (const signal of new Set<NodeJS.Signals>([...platform.stopSignals, "SIGHUP"]))
    process.on(signal, () => {});
  if (askKernel()) endWithLifeline(lifelineFd).unref();
  else watchInThread();
}

function watchInThread(): void {
  const thread = new Worker(new URL("./parent-watch-thread.js", import.meta.url), {
    workerData: { lifelineFd },
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  thread.unref();
  // A child that nobody watches must not live: better to end now than to be left over some day.
  thread.on("error", () => process.kill(process.pid, "SIGKILL"));
}
