import { RetryBudget, type RetryPolicy } from "./retry.js";
import { delay, type Scope } from "./scope.js";
import { MillraceError } from "./wire/index.js";

/** Tries until it is done, or the budget is; ends the scope. */
export async function tryAgain<Value>(
  attempt: () => Promise<Value>,
  { retry, scope }: { readonly retry: RetryPolicy; readonly scope: Scope },
): Promise<Value> {
  const budget = new RetryBudget(retry);
  try {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error;
        const pauseMs = budget.delayAfter(error, performance.now());
        if (pauseMs === null) throw error;
        await delay(pauseMs, scope.signal);
      }
    }
  } finally {
    scope.end();
  }
}
