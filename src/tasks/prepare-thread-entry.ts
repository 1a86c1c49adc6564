/** What the prepare thread runs: it needs the table of tasks, which the room of prepare does not know. */
import { parentPort, workerData } from "node:worker_threads";
import { servePrepareThread } from "../prepare/thread/serve-thread.js";
import { openTaskModels, type PrepareThreadData } from "./open.js";

if (parentPort === null) throw new Error("prepare-thread-entry runs in a worker thread only");
const { folders, limits } = workerData as PrepareThreadData;
const { models, broken } = await openTaskModels(folders, limits);
const reasons = new Map(broken.map(({ dir, reason }) => [dir, reason]));
servePrepareThread(parentPort, {
  models,
  broken: new Map(folders.map(({ dir, manifest }) => [manifest.name, reasons.get(dir) ?? ""])),
});
