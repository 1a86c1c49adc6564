/** What the prepare thread runs: it needs the table of tasks, which the room of prepare does not know. */
import { parentPort, workerData } from "node:worker_threads";
import type { ModelFolder } from "../models/registry.js";
import { servePrepareThread } from "../prepare/thread/serve-thread.js";
import { openTaskModel } from "./open.js";
import type { PrepareLimits } from "./task.js";

if (parentPort === null) throw new Error("prepare-thread-entry runs in a worker thread only");
const limits = workerData as PrepareLimits;
servePrepareThread(parentPort, (folder) => openTaskModel(folder as ModelFolder, limits));
