/** What is printed where a schedule broke a rule: the seed, how to repeat it, the least that breaks it, and its last events. */
import { describePlan, type Plan } from "./plan.js";
import { shrink } from "./shrink.js";
import { play, type SimulateOptions } from "./simulate.js";

const linesMax = 40;

export async function explain(plan: Plan, options: SimulateOptions = {}): Promise<string> {
  const first = await play(plan, options);
  const least = await shrink(plan, options);
  const { violation, trace } = await play(least, { ...options, traces: true });
  return [
    `seed ${plan.seed} breaks "${first.violation?.rule}": ${first.violation?.what}`,
    `repeat it: npm run simulate -- --seed ${plan.seed} --trace`,
    "the least that breaks it:",
    ...describePlan(least).map((line) => `  ${line}`),
    `its last events, of ${trace.length}:`,
    ...trace.slice(-linesMax).map((line) => `  ${line}`),
    `  ${violation?.message}`,
  ].join("\n");
}
