/** The thread of parent-watch.ts: waits for the end of the lifeline on its own event loop. */
import { Socket } from "node:net";
import { workerData } from "node:worker_threads";

const { lifelineFd } = workerData as { readonly lifelineFd: number };
const lifeline = new Socket({ fd: lifelineFd, readable: true, writable: false });
// SIGKILL and not exit: exit would wait for the main thread, which may be inside a run.
const end = (): void => void process.kill(process.pid, "SIGKILL");
lifeline.on("error", end);
lifeline.on("close", end);
lifeline.resume();
