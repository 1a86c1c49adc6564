/**
 * `npm test` is over in a few minutes; `npm run test:long` gives the tests that use this the size at which their claims
 * are made, and runs only those. CI runs both.
 */
import { type TestContext, type TestOptions, test } from "node:test";

// No name of an option: servers that tests start would take it for one.
export const isLong: boolean = process.env["TEST_LONG"] === "1";

/** A test whose claim `npm test` has a thinner case of. */
export function longTest(
  name: string,
  options: TestOptions,
  run: (context: TestContext) => Promise<void>,
): void {
  if (isLong) void test(name, options, run);
}

/** All of the rows, or every n-th of them. */
export function someOf<Row>(rows: readonly Row[], every: number): readonly Row[] {
  return isLong ? rows : rows.filter((_, index) => index % every === 0);
}
