// Loaded before each file of tests: a test that takes too long is named, and ends its process. Node 20 knows a limit for a file
// only, and a test without one of its own would hang without a name.
import { isMainThread } from "node:worker_threads";

/** From one test's begin or end to the next; the longest take a quarter of it on two busy cores. At their full size: `test.js`. */
const stepMsMax = Number(process.env.TEST_STEP_MS_MAX ?? 150_000);
/** Of all tests that share a process. Who gets this far blocks its event loop, and has no name. */
export const processMsMax = 600_000;

const told = "does not end: ";

/** Of a line that a process of tests wrote: the whole of it where it names what hung, else null. */
export function hungIn(line) {
  return line.startsWith(told) ? line.trimEnd() : null;
}

// Not in the runner itself, and not in threads that a test starts.
if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined) {
  const { afterEach, beforeEach } = await import("node:test");
  /** Those that run now. A test is told of before it runs and after; hooks of whole suites are in none. */
  const running = new Map();
  let last = { name: "no test", filePath: process.argv[1] };
  const timer = setTimeout(() => {
    const { filePath } = last;
    const names =
      running.size > 0 ? [...running.values()].join(", ") : `a hook, after ${last.name},`;
    // The runner takes a process's end and its last words as they come; this way the words come first.
    process.stderr.write(`${told}${names} in ${filePath ?? process.argv[1]}\n`, () =>
      setTimeout(() => process.exit(1), 1_000),
    );
  }, stepMsMax).unref();
  beforeEach((test) => {
    running.set(test.fullName ?? test.name, test.name);
    last = test;
    timer.refresh();
  });
  afterEach((test) => {
    running.delete(test.fullName ?? test.name);
    timer.refresh();
  });
}
