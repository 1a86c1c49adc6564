/**
 * On a server that runs lines and keeps no jobs: what it runs of one that is over is left, and what it cannot run is written down. That a
 * job is over the store tells; nobody is asked while nothing changes.
 */
import type { WireError } from "millrace-client/wire";
import type { Log } from "../log.js";
import { messageOf } from "../work/thrown.js";
import type { JobsClock } from "./jobs-clock.js";
import type { JobRunner } from "./runner.js";
import { hasEnded, type JobStore } from "./store.js";

/** Nothing of it can be run any more: who keeps it finds that in it, and lets it fail. */
export async function writeRefusal(
  store: Pick<JobStore, "changeJob">,
  id: string,
  error: WireError,
): Promise<void> {
  await store.changeJob(id, (job) =>
    hasEnded(job) || job.errors.length > 0 ? null : { errors: [error] },
  );
}

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
