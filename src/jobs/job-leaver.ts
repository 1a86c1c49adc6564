/**
 * On a server that runs lines and keeps no jobs: what it runs of one that is over is left. It is told by the store; nobody is asked
 * while nothing changes.
 */
import type { Log } from "../log.js";
import { messageOf } from "../work/thrown.js";
import type { JobsClock } from "./jobs-clock.js";
import type { JobRunner } from "./runner.js";
import type { JobStore } from "./store.js";

const timeRetryMs = 1_000;

export function leaveWhatIsOver(
  runner: Pick<JobRunner, "look">,
  {
    store,
    clock,
    log,
  }: {
    readonly store: Pick<JobStore, "onJobChanged" | "keptTimeMs" | "reason">;
    readonly clock: JobsClock;
    readonly log: Pick<Log, "warn">;
  },
): Disposable {
  const stop = store.onJobChanged((id, what) => {
    if (what !== "job") return;
    runner.look(id).catch((error: unknown) => {
      // Whoever ends it asks again.
      log.warn({ job: id, reason: messageOf(error) }, "jobs: not known whether a job is over");
    });
  });
  // The store may have been away when the clock was opened.
  const timer = setInterval(() => {
    if (store.reason() !== null) return;
    store.keptTimeMs().then(
      (keptMs) => {
        clock.notBefore(keptMs);
        clearInterval(timer);
      },
      () => {},
    );
  }, timeRetryMs);
  timer.unref();
  return {
    [Symbol.dispose]: () => {
      stop();
      clearInterval(timer);
    },
  };
}
