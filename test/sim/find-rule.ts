/** One mutation, in a process of its own: which rules do the schedules break, and is it the one that is meant? */
import type { Focus } from "./focus.js";
import { focused } from "./focus.js";
import { makePlan } from "./make-plan.js";
import { play } from "./simulate.js";

const [rule = "", seeds = "0", focus = "{}"] = process.argv.slice(2);
const seen: Record<string, number> = {};
let found: number | null = null;
for (let seed = 1; seed <= Number(seeds) && found === null; seed += 1) {
  const { violation } = await play(focused(makePlan(seed), JSON.parse(focus) as Focus));
  if (violation?.rule === rule) found = seed;
  if (violation !== null) seen[violation.rule] = (seen[violation.rule] ?? 0) + 1;
}
console.log(JSON.stringify({ found, seen }));
