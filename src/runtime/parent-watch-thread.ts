/** The thread of parent-watch.ts: waits for the end of the lifeline on its own event loop. */
import { workerData } from "node:worker_threads";
import { endWithLifeline } from "./lifeline.js";

const { lifelineFd } = workerData as { readonly lifelineFd: number };
endWithLifeline(lifelineFd);
