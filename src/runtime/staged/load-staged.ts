/** From a model folder to a staged engine that has answered warm-up items, and answered them sanely. */
import { MillraceError } from "millrace-client/wire";
import type { FrameOutcome } from "../../frames/messages.js";
import type { StagedManifest } from "../../models/manifest-staged.js";
import { messageOf } from "../../work/thrown.js";
import type { Engine, EngineEvents, EngineRequest } from "../engine.js";
import type { Program } from "./program.js";
import { openProgram } from "./programs.js";
import { StagedEngine, stagedEngineDefaults } from "./staged-engine.js";

/** Throws `model_folder_invalid` where the folder cannot be run, or what it says is nonsense. */
export async function loadStaged(
  request: EngineRequest<StagedManifest>,
  events: EngineEvents,
): Promise<Engine> {
  const { modelDir, rowsMax } = request;
  let program: Program | null = null;
  try {
    program = await openProgram(request);
    const options = { ...stagedEngineDefaults, rowsMax };
    if (request.isProven === true) return new StagedEngine(program, events, options);
    return await startEngine(program, events, options);
  } catch (cause) {
    // A process may hold other models: what this one took goes.
    await program?.release();
    const message = messageOf(cause);
    throw new MillraceError("model_folder_invalid", `${modelDir}: ${message}`, { cause });
  }
}

/** Every kernel of every stage has run before anybody waits, and what a run takes is known about. Throws what went wrong. */
export async function startEngine(
  program: Program,
  events: EngineEvents,
  options: typeof stagedEngineDefaults = stagedEngineDefaults,
): Promise<StagedEngine> {
  const outcomes = new Map<number, FrameOutcome>();
  let warm = false;
  const engine = new StagedEngine(
    program,
    {
      onRun: (run) => warm && events.onRun(run),
      onOutcomes: (some) => {
        if (warm) events.onOutcomes(some);
        else for (const outcome of some) outcomes.set(outcome.itemId, outcome);
      },
    },
    options,
  );
  const payloads = program.warmUp();
  // One by one: packed together, the last would be a run of other sizes than the first.
  for (const [itemId, payload] of payloads.entries()) {
    engine.admit("realtime", [{ itemId, payload }]);
    while (!engine.idle) await engine.step();
    const problem = problemOf(program, outcomes.get(itemId));
    if (problem !== null) throw new Error(`the warm-up failed: ${problem}`);
  }
  engine.takeReport();
  warm = true;
  return engine;
}

function problemOf(program: Program, outcome: FrameOutcome | undefined): string | null {
  if (outcome === undefined) return "an item had no outcome";
  return outcome.ok ? program.judgeWarmUp(outcome.value) : outcome.message;
}
