import { existsSync } from "node:fs";
import { join } from "node:path";

/** The shared test data lies beside the checkout; where it does not, tests that need it say so and skip. */
const sharedDir = join(process.cwd(), "..", "shared");

export function sharedPath(...names: string[]): string {
  return join(sharedDir, ...names);
}

/** For `test(name, { skip: skipWithout("models") }, …)`. */
export function skipWithout(...names: string[]): string | false {
  return existsSync(sharedPath(...names)) ? false : `../shared/${names.join("/")} is not there`;
}
