/** Engines of the simulated children, which take the recorded times of runs, and the account that their choosing is held to. */
import { generationEngineDefaults } from "#src/runtime/generation/generation-engine.js";
import type { RunMode } from "#src/scheduler/types.js";
import type { SimulatedEngine, SimulatedItem } from "#src/simulation/simulated-engine.js";
import { SimulatedGeneration } from "#src/simulation/simulated-generation.js";
import type { Payload } from "#src/work/payload.js";
import { ChoosingAccount } from "./choosing-rules.js";
import { OneShotEngine } from "./one-shot-engine.js";
import type { PiecePlan } from "./plan.js";
import { recordedMs } from "./recorded-runs.js";
import type { Judge } from "./rules.js";

export interface SimulatedChildItem extends SimulatedItem {
  readonly payload: Payload;
  readonly plan: PiecePlan;
}

/** Tokens that a lane advances in one run. */
const stride = 16;

export function simulatedEngine(
  mode: RunMode,
  rowsMax: number,
  judge: Judge,
): SimulatedEngine<SimulatedChildItem> {
  if (mode === "one-shot") return new OneShotEngine(recordedMs);
  const limits = { ...generationEngineDefaults, rowsMax };
  return new SimulatedGeneration({
    limits,
    stride,
    runMs: recordedMs,
    breaksRun: ({ plan }) => plan.answer === "breaks-run",
    watcher: (costs) => {
      const account = new ChoosingAccount(limits, costs, judge);
      return {
        decided: (...seen) => account.decided(...seen),
        ran: (...seen) => account.ran(...seen),
        broke: (why) => judge("no promise inside is broken", why),
      };
    },
  });
}
