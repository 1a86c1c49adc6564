/**
 * The thread's side of tokenizer-thread.ts. It works only when it is asked for the next portion, so a job that
 * nobody asks for any more costs nothing, jobs take turns, and the other side is never flooded.
 */

import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import type { ModelFolder } from "../models/registry.js";
import { type PrepareStep, prepareSteps } from "./steps.js";
import { TextTokenizer } from "./text/text-tokenizer.js";
import type { ThreadReply, ThreadRequest } from "./tokenizer-thread.js";

/** Of one reply: reading it must not hold the event loop on the other side. */
const portionTokensMax = 4096;
const portionStepsMax = 512;

if (parentPort === null) throw new Error("tokenizer-thread-entry runs in a worker thread only");
const port = parentPort;
const tokenizers = new Map<string, TextTokenizer>();
for (const folder of workerData as readonly ModelFolder[]) {
  tokenizers.set(
    folder.manifest.name,
    await TextTokenizer.open({
      path: join(folder.dir, folder.manifest.files.tokenizer),
      unknownTokenId: folder.manifest.generation.unknownTokenId,
    }),
  );
}
const jobs = new Map<number, Generator<PrepareStep>>();

port.on("message", (request: ThreadRequest) => {
  switch (request.type) {
    case "start": {
      const tokenizer = tokenizers.get(request.model);
      if (tokenizer === undefined) throw new Error(`the thread has no model ${request.model}`);
      jobs.set(request.jobId, prepareSteps(request.texts, tokenizer, request.settings));
      break;
    }
    case "next": {
      const job = jobs.get(request.jobId);
      if (job === undefined) throw new Error(`the thread has no job ${request.jobId}`);
      const reply = nextPortion(request.jobId, job);
      if (reply.done) jobs.delete(request.jobId);
      port.postMessage(reply);
      break;
    }
    case "drop":
      jobs.delete(request.jobId);
      break;
  }
});

function nextPortion(jobId: number, job: Generator<PrepareStep>): ThreadReply {
  const steps: PrepareStep[] = [];
  let tokens = 0;
  while (tokens < portionTokensMax && steps.length < portionStepsMax) {
    const { value, done } = job.next();
    if (done === true) return { jobId, steps, done: true };
    // A step without a result costs time all the same: an empty portion lets other jobs have their turn.
    if (value.kind === "pause") tokens += portionTokensMax / 64;
    else steps.push(value);
    if (value.kind === "piece") tokens += value.piece.tokenIds.length;
  }
  return { jobId, steps, done: false };
}
