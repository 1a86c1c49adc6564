// Loaded before each file of tests: what takes too long is named, and ends its file. Node 20 knows a limit for a file only,
// and a test without one of its own would hang without a name.
import { isMainThread } from "node:worker_threads";

/** Of all tests of a file together; the longest take half of it on two busy cores. */
export const fileMsMax = 180_000;

// Not in the runner itself, and not in threads that a test starts.
if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined) {
  const { afterEach, beforeEach } = await import("node:test");
  /** Those that run now. A test is told of before it runs and after; hooks of whole suites are in none. */
  const running = new Set();
  let last = "no test";
  beforeEach(({ name }) => {
    running.add(name);
    last = name;
  });
  afterEach(({ name }) => {
    running.delete(name);
  });
  setTimeout(() => {
    const names = running.size > 0 ? [...running].join(", ") : `a hook, after ${last},`;
    process.stderr.write(`does not end: ${names} in ${process.argv[1]}\n`, () => process.exit(1));
  }, fileMsMax - 5_000).unref();
}
