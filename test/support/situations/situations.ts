/** All that are made on purpose. */
import { doorSituations } from "./doors.js";
import { healthySituations } from "./healthy.js";
import { jobSituations } from "./jobs.js";
import { modelSituations } from "./models.js";
import { nodeSituations } from "./nodes.js";
import { queuedSituations } from "./queued.js";
import { runningSituations } from "./running.js";
import type { Situation } from "./situation.js";

export const situations: readonly Situation[] = [
  ...healthySituations,
  ...queuedSituations,
  ...runningSituations,
  ...modelSituations,
  ...doorSituations,
  ...jobSituations,
  ...nodeSituations,
];
