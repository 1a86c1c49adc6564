/**
 * Assertions that stay on in production. One that fires is a bug of whoever sent the event (or of this
 * folder), never of a caller: the scheduler's owner must stop rather than go on with a queue that lies.
 */
export class SchedulerBug extends Error {
  override readonly name = "SchedulerBug";
}

/** The message is made when it is needed: most assertions stand where every item passes. */
export function assertScheduler(
  condition: boolean,
  message: string | (() => string),
): asserts condition {
  if (!condition) throw new SchedulerBug(typeof message === "string" ? message : message());
}
