/** A process that writes to a store's file and comes to no end: `node hold-tables.js PATH`. Nobody else writes until it is killed. */
import { writeSync } from "node:fs";
import { Tables } from "#src/jobs/lmdb/tables.js";

const [, , path] = process.argv;
if (path === undefined) throw new Error("PATH is missing");
new Tables(path, {}).transaction(() => {
  writeSync(1, "held\n");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
