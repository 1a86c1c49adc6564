/** What the rooms promise. Whoever breaks a promise is reported by one of these names. */

/** Of the scheduler alone: what it was told, and what it decided. */
export const schedulerRules = [
  "every item has one outcome",
  "a queued item only is dispatched",
  "work for absent callers is never dispatched",
  "a batch has one key",
  "a batch stays within the rows",
  "a batch stays within the cost",
  "a pipeline serves its kind",
  "suspects run alone",
  "a pipeline holds no more batches than allowed",
  "older than the age limit goes first",
  "aged bulk takes turns with realtime",
  "realtime goes before bulk",
  "what is large gives way",
  "first come is first served",
  "the seeds' router weighs size and arrival",
  "no free pipeline beside a queue",
  "segments take a batch apart",
  "a deadline expires on time",
  "a newcomer surely waits for aged work only",
  "the pipeline hears of a cancel",
  "waiting bulk is recalled for realtime",
  "a window is bounded",
  "the scheduler's own assertions",
] as const;

/** Of all rooms together, as a caller sees them. */
export const callerRules = [
  "each input has one outcome",
  "an outcome is the right one",
  "nothing follows the end",
  "acceptance comes first, and once",
  "only who was alone at two faults is a poison",
  "a worker is lost only after all attempts",
  "a deadline is kept to the caller",
  "who is refused is refused for a reason",
  "the queue counts what it holds",
  "preparing ends with its caller",
  "who left costs no further run",
  "the summary is right",
  "every caller is answered",
  "a stop ends everything in time",
] as const;

/** Of the pool: ledger, settling, dialogue, pipelines. */
export const poolRules = [
  "the ledger is written before the frame",
  "an item leaves the ledger once, and by its own pipeline",
  "a cancelled item comes to nothing",
  "a cancel is confirmed by the child",
  "a child hears of each cancel and recall",
  "what a dead pipeline held is settled at once",
  "the innocent are not blamed",
  "who was begun at a fault is a suspect",
  "suspects are halved",
  "attempts are counted",
  "a good child is never killed",
  "a liar is ended at once",
  "a hang is found in time",
  "a child is spoken to in order",
  "one process of a pipeline at a time",
  "a lost pipeline comes back",
  "a pipeline waits before it starts again",
  "what a good child measured is heard",
] as const;

/** Of what a pipeline runs next, token by token. */
export const choosingRules = [
  "an engine does not idle beside work",
  "the oldest leads its chunk",
  "a chunk stays within the rows",
  "a chunk is of one width",
  "realtime runs first",
  "bulk keeps its share",
  "lanes take turns",
  "who was in a run that failed runs alone",
  "a few wait for company, and not long",
] as const;

/** Of which model is where. */
export const hostingRules = [
  "models stay within a pipeline's memory",
  "what is there is not loaded again",
  "a pipeline loads one model at a time",
  "only what is served is loaded",
  "only what is loaded is fed",
  "what is in use is not unloaded",
  "a pinned model stays",
  "a pinned model is on every pipeline",
  "a load serves somebody",
  "models do not chase each other out",
  "a load that failed is not tried at once",
  "only who cannot be loaded is given up",
  "nobody waits for what cannot be loaded",
  "no idle pipeline beside a model that is waited for",
  "an end while loading is the model's",
  "realtime waits for no job of another model",
  "bulk of a model keeps its share beside others",
] as const;

/** Of everything. */
export const houseRules = [
  "no promise inside is broken",
  "what was taken is given back",
  "time goes on",
] as const;

export const rules = [
  ...schedulerRules,
  ...callerRules,
  ...poolRules,
  ...choosingRules,
  ...hostingRules,
  ...houseRules,
] as const;

export type Rule = (typeof rules)[number];

export class Violation extends Error {
  readonly rule: Rule;
  readonly what: string;

  constructor(rule: Rule, what: string) {
    super(`${rule}: ${what}`);
    this.rule = rule;
    this.what = what;
  }
}

/** Told of what breaks a rule; the first is the schedule's result. */
export type Judge = (rule: Rule, message: string) => void;
