/**
 * The thread's side of prepare-thread.ts. It works only when it is asked for the next portion, so a work that nobody
 * asks for any more costs nothing, the other side decides who goes first, and is never flooded.
 */
import type { MessagePort } from "node:worker_threads";
import { systemClock } from "../../work/clock.js";
import type { PrepareStep } from "../../work/piece.js";
import { messageOf } from "../../work/thrown.js";
import { leastPiecesOf, type ModelSteps, stepsFrom, stepsOfTask } from "../model-steps.js";
import { type Portion, PortionPacker } from "../portion.js";
import type { ThreadReply, ThreadRequest } from "./messages.js";

/** Of one portion, and one step more: so long does a realtime work wait for one that was begun before it. */
const portionMs = 4;
/** Taking a portion must not hold the event loop on the other side. */
const portionPiecesMax = 512;
const portionBytesMax: number = 256 * 1024;
const portionEndsMax = 512;

/** What a model is prepared with, or why that could not be opened. */
type OpenedModel = ModelSteps | { readonly broken: string };

/** Answers until the other side ends the thread. */
export function servePrepareThread(
  port: MessagePort,
  open: (data: unknown) => Promise<ModelSteps>,
): void {
  const models = new Map<string, OpenedModel>();
  const works = new Map<number, WorkHere>();
  const say = (reply: ThreadReply): void => port.postMessage(reply);
  const hear = async (request: ThreadRequest): Promise<void> => {
    switch (request.type) {
      case "open": {
        const { model } = request;
        models.set(model, await open(request.data).catch(notOpened));
        say({ type: "opened", model });
        return;
      }
      case "forget":
        models.delete(request.model);
        return;
      case "start": {
        const { workId } = request;
        const model = models.get(request.model) ?? { broken: "it was never opened" };
        if ("broken" in model) say({ type: "refused", workId, reason: model.broken });
        else works.set(workId, workOf(stepsOfTask(model, request.task), request));
        return;
      }
      case "next": {
        const { workId } = request;
        const work = works.get(workId);
        // Nothing to say of one that was refused.
        if (work === undefined) return;
        const reply: PortionReply =
          "counts" in work
            ? { type: "counted", workId, ...nextCount(work.counts) }
            : { type: "portion", workId, ...nextPortion(work.steps, request.alone) };
        if (reply.done) works.delete(workId);
        say(reply);
        return;
      }
      case "drop":
        works.delete(request.workId);
        return;
    }
  };
  // One after the other: what is asked of a model comes behind its opening.
  let heard = Promise.resolve();
  port.on("message", (request: ThreadRequest) => {
    heard = heard.then(() => hear(request));
  });
  say({ type: "ready" });
}

function notOpened(error: unknown): OpenedModel {
  return { broken: messageOf(error) };
}

type WorkHere = { readonly counts: Iterator<number> } | { readonly steps: Iterator<PrepareStep> };
type PortionReply = Extract<ThreadReply, { readonly done: boolean }>;
type Start = Extract<ThreadRequest, { type: "start" }>;

function workOf(model: ModelSteps, request: Start): WorkHere {
  if (request.counting) return { counts: leastPiecesOf(model, request) };
  return { steps: stepsFrom(model, request) };
}

function nextCount(counts: Iterator<number>): { readonly pieces: number; readonly done: boolean } {
  const endsAtMs = systemClock.now() + portionMs;
  let pieces = 0;
  do {
    const { value, done } = counts.next();
    if (done === true) return { pieces, done };
    pieces += value;
  } while (systemClock.now() < endsAtMs);
  return { pieces, done: false };
}

function nextPortion(
  work: Iterator<PrepareStep>,
  alone: boolean,
): { readonly portion: Portion; readonly done: boolean } {
  const packer = new PortionPacker();
  const endsAtMs = systemClock.now() + portionMs;
  const endsMax = alone ? 1 : portionEndsMax;
  do {
    const { value, done } = work.next();
    if (done === true) return { portion: packer.take(), done: true };
    packer.add(value);
  } while (
    systemClock.now() < endsAtMs &&
    packer.pieces < portionPiecesMax &&
    packer.bytes < portionBytesMax &&
    packer.ends < endsMax
  );
  return { portion: packer.take(), done: false };
}
