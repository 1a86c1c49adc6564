/** A child that gives blocks back, learns nothing of it, and says how many bytes of the second lot it still has. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { platform } from "#src/platform/platform.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const makeBlocks = () => Array.from({ length: 32 }, () => new Uint8Array(2 ** 20).fill(1));

let blocks = makeBlocks();
blocks = [];
collect();
collect();
const beforeBytes = platform.ownMemoryBytes();
blocks = makeBlocks();
// It lies behind the others: they are a hole in the heap, if there they are.
const last = blocks.slice(-1);
blocks = [];
collect();
collect();
const keptBytes = platform.ownMemoryBytes() - beforeBytes;
process.stdout.write(`${JSON.stringify({ keptBytes, lastBytes: last[0]?.length })}\n`);
