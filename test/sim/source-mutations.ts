/**
 * Ways to break the rooms, each a change of one place in the compiled code: the simulator must notice, and name the rule.
 * A change whose place is gone fails the test that makes it: whoever changes the place changes the line here.
 */
import { placement, turns } from "./placement-mutations.js";
import type { SourceMutation } from "./source-mutation.js";
import { admission, dispatcher, localSubmit, request } from "./submit-mutations.js";
import { dialogue, ledger, pipeline, settle, watch } from "./worker-mutations.js";

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
    find: "const [first] = waiting;",
    replace: "const first = waiting.at(-1);",
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
    find: "padWidth(item.tokens) !== width",
    replace: "false",
    rule: "a chunk is of one width",
  },
  {
    name: "puts who broke a run together with others",
    file: "runtime/generation/choosing.js",
    find: "item.alone || padWidth(item.tokens) !== width",
    replace: "padWidth(item.tokens) !== width",
    rule: "who was in a run that failed runs alone",
    focus: { busy: true, badItems: true },
  },
  {
    name: "serves bulk first",
    file: "runtime/generation/choosing.js",
    find: 'isOwed ? "bulk" : "realtime";',
    replace: 'bulk ? "bulk" : "realtime";',
    rule: "realtime runs first",
    focus: { busy: true },
  },
  {
    name: "owes bulk nothing",
    file: "runtime/generation/choosing.js",
    find: "this.#share.realtimeServed(ms,",
    replace: "this.#share.realtimeServed(0,",
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
    find: "return nowMs - receivedAtMs < Math.min(this.#limits.gatherMs, heldUpMs);",
    replace: "return true;",
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
  placement,
  turns,
};

/** What there is time for in every run of the tests. */
export function oneOfEachRoom(): Readonly<Record<string, readonly SourceMutation[]>> {
  return Object.fromEntries(
    Object.entries(sourceMutations).map(([room, list]) => [room, list.slice(0, 1)]),
  );
}
