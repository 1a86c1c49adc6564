/** The version of this package, from its package.json: the only place where it is written. */
import { readFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

export const version: string = manifest.version;
