/**
 * Ways to break the rooms, each a change of one place in the compiled code: the simulator must notice, and name the rule.
 * A change whose place is gone fails the test that makes it: whoever changes the place changes the line here.
 */
import type { Focus } from "./focus.js";
import type { Rule } from "./rules.js";

export interface SourceMutation {
  /** What the room does then. */
  readonly name: string;
  /** The compiled file, under `dist`. */
  readonly file: string;
  /** Exactly once in it. */
  readonly find: string;
  readonly replace: string;
  readonly rule: Rule;
  /** Where only a rare schedule shows it: plans that are made of such. */
  readonly focus?: Focus;
}

const ledger: readonly SourceMutation[] = [
  {
    name: "finds the items of any pipeline",
    file: "worker/ledger.js",
    find: "return this.#byPipeline.get(pipelineId)?.get(itemId);",
    replace: "return this.#entries.get(itemId);",
    rule: "an item leaves the ledger once, and by its own pipeline",
    focus: { fault: "outcome-of-another" },
  },
  {
    name: "counts no attempts",
    file: "worker/ledger.js",
    find: "attempt: (past?.attempts ?? 0) + 1,",
    replace: "attempt: 1,",
    rule: "attempts are counted",
    focus: { fault: "exit" },
  },
  {
    name: "forgets nothing after an outcome",
    file: "worker/ledger.js",
    find: "if (entry !== undefined)\n            this.#past.delete(itemId);",
    replace: "",
    rule: "what was taken is given back",
    focus: { fault: "exit" },
  },
  {
    name: "keeps what was given back",
    file: "worker/ledger.js",
    find: "this.#entries.delete(itemId);\n        this.#of(pipelineId).delete(itemId);",
    replace: "this.#of(pipelineId).delete(itemId);",
    rule: "the ledger is written before the frame",
  },
  {
    name: "forgets that an item was alone at a fault",
    file: "worker/ledger.js",
    find: "aloneKills: past?.aloneKills ?? 0,",
    replace: "aloneKills: 0,",
    rule: "only who was alone at two faults is a poison",
    focus: { poison: true },
  },
];

const settle: readonly SourceMutation[] = [
  {
    name: "calls the first fault a poison's",
    file: "worker/settle.js",
    find: "export const aloneKillsMax = 2;",
    replace: "export const aloneKillsMax = 1;",
    rule: "only who was alone at two faults is a poison",
    focus: { poison: true },
  },
  {
    name: "takes all that had begun for alone",
    file: "worker/settle.js",
    find: "begun.length === 1",
    replace: "begun.length >= 1",
    rule: "only who was alone at two faults is a poison",
    focus: { poison: true },
  },
  {
    name: "gives one attempt more",
    file: "worker/settle.js",
    find: "past.attempts >= attemptsMax",
    replace: "past.attempts > attemptsMax",
    rule: "a worker is lost only after all attempts",
    focus: { fault: "exit" },
  },
  {
    name: "gives one attempt less",
    file: "worker/settle.js",
    find: "past.attempts >= attemptsMax",
    replace: "past.attempts >= attemptsMax - 1",
    rule: "a worker is lost only after all attempts",
    focus: { fault: "exit" },
  },
  {
    name: "blames what had not begun",
    file: "worker/settle.js",
    find: "if (!entry.begun || how",
    replace: "if (how",
    rule: "the innocent are not blamed",
    focus: { fault: "exit" },
  },
  {
    name: "blames at the first end from outside",
    file: "worker/settle.js",
    find: "how.past.outsideEnds > 1",
    replace: "how.past.outsideEnds > 0",
    rule: "the innocent are not blamed",
    focus: { fault: "killed-from-outside" },
  },
  {
    name: "blames nobody for a crash",
    file: "worker/settle.js",
    find: 'return kind !== "outside" && kind !== "stopped";',
    replace: 'return kind !== "outside" && kind !== "stopped" && kind !== "crash";',
    rule: "who was begun at a fault is a suspect",
    focus: { fault: "segfault" },
  },
  {
    name: "never halves",
    file: "worker/settle.js",
    find: "Math.max(1, Math.min(Math.ceil(suspects.length / 2), 2 ** halvings))",
    replace: "Math.max(1, suspects.length)",
    rule: "suspects are halved",
    focus: { fault: "exit" },
  },
  {
    name: "takes a crash for a kill from outside",
    file: "worker/settle.js",
    find: '"SIGSEGV",',
    replace: "",
    rule: "who was begun at a fault is a suspect",
    focus: { fault: "segfault" },
  },
  {
    name: "does not ask whether memory ran out",
    file: "worker/memory-kills.js",
    find: "return this.#risesAtMs.shift() !== undefined;",
    replace: "return false;",
    rule: "who was begun at a fault is a suspect",
    focus: { fault: "out-of-memory" },
  },
  {
    name: "takes every kill for one of want of memory",
    file: "worker/memory-kills.js",
    find: "return this.#risesAtMs.shift() !== undefined;",
    replace: "return true;",
    rule: "the innocent are not blamed",
    focus: { fault: "killed-from-outside" },
  },
];

const dialogue: readonly SourceMutation[] = [
  {
    name: "sends before it writes",
    file: "worker/dialogue.js",
    find: 'ledger.write(pipelineId, { batchId: batch.batchId, itemIds }, clock.now());\n        send({ type: "batch", batchId: batch.batchId, class: batch.class, items: batch.items });',
    replace:
      'send({ type: "batch", batchId: batch.batchId, class: batch.class, items: batch.items });\n        ledger.write(pipelineId, { batchId: batch.batchId, itemIds }, clock.now());',
    rule: "the ledger is written before the frame",
  },
  {
    name: "does not pass a cancel on",
    file: "worker/dialogue.js",
    find: 'this.#options.send({ type: "cancel", itemIds: cancelled });',
    replace: "",
    rule: "a child hears of each cancel and recall",
  },
  {
    name: "hears a cancelled item's result",
    file: "worker/dialogue.js",
    find: "if (entry.cancelled) {",
    replace: "if (false) {",
    rule: "a cancelled item comes to nothing",
  },
  {
    name: "takes the answers to recalls in the wrong order",
    file: "worker/dialogue.js",
    find: "this.#asked.shift()",
    replace: "this.#asked.pop()",
    rule: "a cancel is confirmed by the child",
    focus: { leaves: true },
  },
  {
    name: "loses what comes back",
    file: "worker/dialogue.js",
    find: "(cancelled ? dropped : innocent).push(itemId);",
    replace: "if (cancelled) dropped.push(itemId);",
    rule: "the ledger is written before the frame",
    focus: { leaves: true },
  },
  {
    name: "believes in a result of an item that is not there",
    file: "worker/dialogue.js",
    find: "if (entry === undefined) {\n            throw new ProtocolError(`sent a result for item ${itemId}, which it does not have`);\n        }",
    replace: "if (entry === undefined) return;",
    rule: "a liar is ended at once",
    focus: { fault: "outcome-unknown" },
  },
  {
    name: "lets a child send back what nobody recalled",
    file: "worker/dialogue.js",
    find: 'if (asked === undefined)\n            throw new ProtocolError("sent items back that nobody recalled");',
    replace: "if (asked === undefined)\n            return;",
    rule: "a liar is ended at once",
    focus: { fault: "recalled-unasked" },
  },
  {
    name: "lets go of items before it knows the answer for a lie",
    file: "worker/dialogue.js",
    find: "const wrong = itemIds.find((itemId) => !asked.recalled.has(itemId));",
    replace:
      "for (const id of itemIds) if (asked.recalled.has(id)) ledger.takeBack(pipelineId, id);\n        const wrong = itemIds.find((itemId) => !asked.recalled.has(itemId));",
    rule: "what a dead pipeline held is settled at once",
    focus: { fault: "recalled-too-many", leaves: true },
  },
  {
    name: "does not hear what begins",
    file: "worker/dialogue.js",
    find: "entry.begun = true;",
    replace: "entry.begun = false;",
    rule: "who was begun at a fault is a suspect",
    focus: { fault: "exit" },
  },
  {
    name: "keeps a report for itself",
    file: "worker/dialogue.js",
    find: 'emit({ type: "measured", pipelineId, model, stages: frame.stages });',
    replace: "",
    rule: "what a good child measured is heard",
  },
];

const pipeline: readonly SourceMutation[] = [
  {
    name: "gives back only the innocent",
    file: "worker/pipeline.js",
    find: "if (innocent.length + groups.length + failed.length > 0)",
    replace: "if (innocent.length > 0)",
    rule: "what a dead pipeline held is settled at once",
    focus: { fault: "exit" },
  },
  {
    name: "lets a liar live",
    file: "worker/pipeline.js",
    find: 'this.#lose({ kind: "protocol", reason: error.message });\n            return;',
    replace: "return;",
    rule: "a liar is ended at once",
    focus: { fault: "ready-twice" },
  },
  {
    name: "does not hear that the stream is broken",
    file: "worker/pipeline.js",
    find: 'onBroken: (error) => this.#lose({ kind: "protocol", reason: error.message }),',
    replace: "onBroken: () => { },",
    rule: "a liar is ended at once",
    focus: { fault: "garbage" },
  },
  {
    name: "never starts again",
    file: "worker/pipeline.js",
    find: "this.#after(waitMs, () => this.start());",
    replace: "",
    rule: "a lost pipeline comes back",
    focus: { fault: "exit" },
  },
  {
    name: "starts again at once",
    file: "worker/pipeline.js",
    find: "this.#after(waitMs, () => this.start());",
    replace: "this.#after(0, () => this.start());",
    rule: "a pipeline waits before it starts again",
    focus: { fault: "exit" },
  },
  {
    name: "waits longer than it may",
    file: "worker/backoff.js",
    find: "Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(failures - 1, doublingsMax))",
    replace: "8 * backoffMaxMs",
    rule: "a pipeline waits before it starts again",
    focus: { fault: "exit" },
  },
  {
    name: "starts again before the old process is gone",
    file: "worker/pipeline.js",
    find: "life.child.kill();\n        this.#settle(life, cause, wasUp);",
    replace:
      "life.child.kill();\n        this.#settle(life, cause, wasUp);\n        this.#after(0, () => this.start());",
    rule: "one process of a pipeline at a time",
    focus: { fault: "ends-unkillable" },
  },
  {
    name: "is up as soon as it says hello",
    file: "worker/pipeline.js",
    find: "life.greeted = true;",
    replace:
      'life.greeted = true; this.#enter("ready", null); this.#context.emit({ type: "up", pipelineId, model, kind, rowsMax });',
    rule: "a child is spoken to in order",
  },
  {
    name: "waits for a stop for ever",
    file: "worker/pipeline.js",
    find: "this.#after(this.#context.options.stopTimeoutMs, () => life.child.kill());",
    replace: "",
    rule: "a stop ends everything in time",
    focus: { fault: "stop-ignored" },
  },
  {
    name: "waits for a start for ever",
    file: "worker/pipeline.js",
    find: 'this.#lose({ kind: "hang", reason: `no ${phase} within ${startTimeoutMs} ms of its start` });',
    replace: "void phase;",
    rule: "a lost pipeline comes back",
    focus: { fault: "never-ready" },
  },
  {
    name: "looks once and never again",
    file: "worker/pipeline.js",
    find: "this.#checkRegularly(life);\n            this.#check(life);",
    replace: "this.#check(life);",
    rule: "a hang is found in time",
    focus: { fault: "hang-still" },
  },
  {
    name: "looks on after its end",
    file: "worker/pipeline.js",
    find: 'this.#cancelCheck();\n        if (state !== "stopped")',
    replace: 'if (state !== "stopped")',
    rule: "what was taken is given back",
  },
  {
    name: "takes a hang for a stop of its own",
    file: "worker/pipeline.js",
    find: 'this.#lose({ kind: outside ? "outside" : "hang", reason });',
    replace: 'this.#lose({ kind: "stopped", reason });',
    rule: "who was begun at a fault is a suspect",
    focus: { fault: "hang-still" },
  },
];

const watch: readonly SourceMutation[] = [
  {
    name: "sees no hang",
    file: "worker/watch.js",
    find: "if (silentMs <= Math.min(hangFloorMs + hangFactor * this.#predictedMs, runMsMax))",
    replace: "if (silentMs >= 0)",
    rule: "a hang is found in time",
    focus: { fault: "hang-still" },
  },
  {
    name: "waits only for processor time that stands still",
    file: "worker/watch.js",
    find: "if (silentMs > runMsMax)",
    replace: "if (silentMs < 0)",
    rule: "a hang is found in time",
    focus: { fault: "hang-busy" },
  },
  {
    name: "does not look at processor time",
    file: "worker/watch.js",
    find: "!now.runnable && now.cpuMs - this.#cpuMs < stillCpuMs",
    replace: "true",
    rule: "a good child is never killed",
    focus: { fault: "slow", impatient: true },
  },
  {
    name: "takes one who waits for the processor for still",
    file: "worker/watch.js",
    find: "!now.runnable && ",
    replace: "",
    rule: "a good child is never killed",
    focus: { fault: "starved", impatient: true },
  },
];

const request: readonly SourceMutation[] = [
  {
    name: "reports a failed input again",
    file: "submit/local/input-assembly.js",
    find: "fail(error) {\n        if (this.#ended)\n            return null;",
    replace: "fail(error) {",
    rule: "each input has one outcome",
    focus: { badItems: true },
  },
  {
    name: "joins answers in order of arrival",
    file: "submit/local/input-assembly.js",
    find: "this.#answers[piece] = answer;",
    replace: "this.#answers.push(answer);",
    rule: "an outcome is the right one",
  },
  {
    name: "goes on after the caller left",
    file: "submit/local/open-request.js",
    find: "abandon(error) {\n        this.#openInputs = 0;",
    replace: "abandon(error) {",
    rule: "nothing follows the end",
    focus: { leaves: true },
  },
  {
    name: "never ends",
    file: "submit/local/open-request.js",
    find: "return;\n        }\n        if (this.#openInputs === 0)\n            this.#resolve();",
    replace: "return;\n        }",
    rule: "every caller is answered",
  },
  {
    name: "counts an item twice",
    file: "submit/local/open-request.js",
    find: "(this.#pipelines[pipelineId] ?? 0) + 1;",
    replace: "(this.#pipelines[pipelineId] ?? 0) + 2;",
    rule: "the summary is right",
  },
  {
    name: "prepares on for who is gone",
    file: "submit/local/until.js",
    find: 'signal.addEventListener("abort", this.#onAbort, { once: true });',
    replace: "",
    rule: "preparing ends with its caller",
    focus: { leaves: true },
  },
  {
    name: "sees no deadline while it prepares",
    file: "submit/local/until.js",
    find: "if (deadlineAtMs === null)",
    replace: "if (deadlineAtMs !== undefined)",
    rule: "a deadline is kept to the caller",
    focus: { deadlines: true },
  },
];

const localSubmit: readonly SourceMutation[] = [
  {
    name: "does not know its models",
    file: "submit/local/local-submit.js",
    find: "modeOf: (model) => models.get(model)?.mode,",
    replace: "modeOf: () => undefined,",
    rule: "no promise inside is broken",
  },
  {
    name: "accepts silently",
    file: "submit/local/local-submit.js",
    find: "events.onAccepted?.();",
    replace: "",
    rule: "acceptance comes first, and once",
  },
  {
    name: "keeps the places of who ended",
    file: "submit/local/local-submit.js",
    find: "entered.ticket.release();",
    replace: "",
    rule: "the queue counts what it holds",
  },
  {
    name: "does not drop what is left",
    file: "submit/local/local-submit.js",
    find: "this.#open.delete(open);\n            this.#dispatcher.drop(open);",
    replace: "this.#open.delete(open);",
    rule: "work for absent callers is never dispatched",
    focus: { leaves: true },
  },
  {
    name: "does not end what a drain left over",
    file: "submit/local/local-submit.js",
    find: 'this.#endAll(new MillraceError("draining", "the server stopped before this was done"));',
    replace: "",
    rule: "every caller is answered",
    focus: { stop: true },
  },
];

const dispatcher: readonly SourceMutation[] = [
  {
    name: "wakes too late",
    file: "submit/local/dispatcher.js",
    find: "Math.max(0, Math.ceil(atMs - clock.now()))",
    replace: "Math.max(0, Math.ceil(atMs - clock.now()) + 2_000)",
    rule: "a deadline is kept to the caller",
    focus: { deadlines: true },
  },
  {
    name: "wakes without end",
    file: "submit/local/dispatcher.js",
    find: "Math.max(0, Math.ceil(atMs - clock.now()))",
    replace: "0",
    rule: "time goes on",
    focus: { deadlines: true },
  },
  {
    name: "says no code of an item that failed for good",
    file: "submit/local/dispatcher.js",
    find: "item?.request.fail(item.place, error);",
    replace: "void error;",
    rule: "every caller is answered",
    focus: { poison: true },
  },
  {
    name: "mixes the places up",
    file: "submit/local/dispatcher.js",
    find: "place: { input, piece }",
    replace: "place: { input: 0, piece }",
    rule: "an outcome is the right one",
  },
  {
    name: "does not look at answers",
    file: "submit/local/dispatcher.js",
    find: "(item?.request.check(outcome.value) ?? null)",
    replace: "null",
    rule: "an outcome is the right one",
    focus: { badItems: true },
  },
  {
    name: "remembers what ended",
    file: "submit/local/dispatcher.js",
    find: "this.#pool.forget(itemIds);",
    replace: "",
    rule: "what was taken is given back",
    focus: { fault: "exit", leaves: true },
  },
  {
    name: "leaves its alarm set",
    file: "submit/local/dispatcher.js",
    find: "await this.#pool.stop({ drainMs: 0 });\n        this.#stopWake();",
    replace: "await this.#pool.stop({ drainMs: 0 });",
    rule: "what was taken is given back",
    focus: { deadlines: true, stop: true },
  },
  {
    name: "tells of a dead pipeline twice",
    file: "submit/local/dispatcher.js",
    find: 'this.#step({ type: "pipeline-down", pipelineId });',
    replace:
      'this.#step({ type: "pipeline-down", pipelineId }); this.#step({ type: "pipeline-down", pipelineId });',
    rule: "the scheduler's own assertions",
    focus: { fault: "exit" },
  },
  {
    name: "lets a pipeline go on for who left",
    file: "submit/local/dispatcher.js",
    find: "this.#pool.cancel(decision.pipelineId, decision.itemIds);",
    replace: "",
    rule: "who left costs no further run",
    focus: { leaves: true },
  },
];

const admission: readonly SourceMutation[] = [
  {
    name: "refuses the last place",
    file: "submit/local/admission.js",
    find: "const itemsOver = this.#items + more.items - queuedItemsMax;",
    replace: "const itemsOver = this.#items + more.items - queuedItemsMax + 1;",
    rule: "who is refused is refused for a reason",
    focus: { narrow: true },
  },
  {
    name: "does not count bytes",
    file: "submit/local/admission.js",
    find: "if (itemsOver <= 0 && bytesOver <= 0)",
    replace: "if (itemsOver <= 0)",
    rule: "who is refused is refused for a reason",
    focus: { narrow: true },
  },
  {
    name: "asks to come again with what never fits",
    file: "submit/local/admission.js",
    find: "if (own.items > queuedItemsMax) {",
    replace: "if (false) {",
    rule: "who is refused is refused for a reason",
    focus: { narrow: true },
  },
  {
    name: "keeps places for inputs without work",
    file: "submit/local/admission.js",
    find: "this.#actions.shrink({ items: this.#items - this.#pieces, bytes: 0 });",
    replace: "",
    rule: "the queue counts what it holds",
  },
  {
    name: "lets in when no pipeline is up",
    file: "submit/local/door.js",
    find: "if (!isUp(model.name)) {",
    replace: "if (false) {",
    rule: "who is refused is refused for a reason",
  },
];

const frames: readonly SourceMutation[] = [
  {
    name: "loses the rest of a frame that was cut",
    file: "frames/codec.js",
    find: "this.#bodyFilled += chunk.copy(this.#body, this.#bodyFilled, at, until);",
    replace: "this.#bodyFilled += until - at;",
    rule: "a good child is never killed",
    focus: { bytes: true },
  },
  {
    name: "checks no lengths",
    file: "frames/codec.js",
    find: "if (header > headerBytesMax || tail > tailBytesMax) {",
    replace: "if (false) {",
    rule: "a liar is ended at once",
    focus: { bytes: true, fault: "garbage" },
  },
  {
    name: "takes fields that nobody knows",
    file: "frames/shapes.js",
    find: "if (fieldsOf(value) !== fieldsOf(shape) + 1) {",
    replace: "if (false) {",
    rule: "a liar is ended at once",
    focus: { bytes: true, fault: "field-wrong" },
  },
  {
    name: "takes any value for a count",
    file: "frames/shapes.js",
    find: "Number.isSafeInteger(value) && isAmount(value);",
    replace: "true;",
    rule: "a liar is ended at once",
    focus: { bytes: true, fault: "field-wrong" },
  },
  {
    name: "reads tensors where they do not lie",
    file: "frames/tail.js",
    find: "const from = aligned(this.#at);",
    replace: "const from = this.#at;",
    rule: "a good child is never killed",
    focus: { bytes: true },
  },
  {
    name: "writes tensors over each other",
    file: "frames/tail.js",
    find: "integers.set(data, start / 4);",
    replace: "integers.set(data, 0);",
    rule: "an outcome is the right one",
    focus: { bytes: true },
  },
];

const choosing: readonly SourceMutation[] = [
  {
    name: "has no time for bulk alone",
    file: "runtime/generation/choosing.js",
    find: 'return bulk ? "bulk" : null;',
    replace: "return null;",
    rule: "an engine does not idle beside work",
  },
  {
    name: "serves the youngest first",
    file: "runtime/generation/choosing.js",
    find: "const [oldest] = waiting;",
    replace: "const oldest = waiting.at(-1);",
    rule: "the oldest leads its chunk",
  },
  {
    name: "does not count rows",
    file: "runtime/generation/choosing.js",
    find: "free -= item.rows;",
    replace: "",
    rule: "a chunk stays within the rows",
    focus: { busy: true },
  },
  {
    name: "mixes widths",
    file: "runtime/generation/choosing.js",
    find: "padWidth(item.tokens) === width",
    replace: "true",
    rule: "a chunk is of one width",
  },
  {
    name: "puts who broke a run together with others",
    file: "runtime/generation/choosing.js",
    find: "(!oldest.alone && !item.alone && padWidth(item.tokens) === width)",
    replace: "padWidth(item.tokens) === width",
    rule: "who was in a run that failed runs alone",
    focus: { busy: true, badItems: true },
  },
  {
    name: "serves bulk first",
    file: "runtime/generation/choosing.js",
    find: '? "bulk" : "realtime";',
    replace: '? "bulk" : bulk ? "bulk" : "realtime";',
    rule: "realtime runs first",
    focus: { busy: true },
  },
  {
    name: "owes bulk nothing",
    file: "runtime/generation/choosing.js",
    find: "this.#owedMs += (ms * bulkShare) / (1 - bulkShare);",
    replace: "this.#owedMs = 0;",
    rule: "bulk keeps its share",
    focus: { busy: true },
  },
  {
    name: "stays with one lane",
    file: "runtime/generation/choosing.js",
    find: "return [key, servedAt ?? this.#runs];",
    replace: "return [key, 0];",
    rule: "lanes take turns",
    focus: { busy: true },
  },
  {
    name: "waits for no company",
    file: "runtime/generation/choosing.js",
    find: "if (used > 0 && this.#gathers(workClass, { waiting, used, free, nowMs }))",
    replace: "if (false)",
    rule: "a few wait for company, and not long",
    focus: { busy: true },
  },
  {
    name: "waits for company for ever",
    file: "runtime/generation/choosing.js",
    find: "return young && (free",
    replace: "return (free",
    rule: "a few wait for company, and not long",
    focus: { busy: true },
  },
];

/** By room. */
export const sourceMutations: Readonly<Record<string, readonly SourceMutation[]>> = {
  ledger,
  settle,
  dialogue,
  pipeline,
  watch,
  request,
  "local-submit": localSubmit,
  dispatcher,
  admission,
  frames,
  choosing,
};

/** A few of each room, and one for each rule: what there is time for in every run of the tests. */
export function someMutations(): Readonly<Record<string, readonly SourceMutation[]>> {
  const rules = new Set<Rule>();
  const chosen = Object.entries(sourceMutations).map(([room, list]) => {
    const some = list.filter(({ rule }, at) => at < 2 || !rules.has(rule));
    for (const { rule } of some) rules.add(rule);
    return [room, some] as const;
  });
  return Object.fromEntries(chosen);
}
