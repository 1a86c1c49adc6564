/** A process that owns a pool and is there to be killed: prints the child's pid once it is as told: idle or busy. */

import { Pool } from "#src/worker/pool.js";
import { magic } from "./fake-tokens.js";
import { fakeEntry, makeItem, quickOptions, quiet } from "./pool.js";

const [modelDir = "", doing = "idle"] = process.argv.slice(2);
const spec = {
  pipelineId: "p0",
  kind: "shared",
  threads: 1,
  modelMemoryBytesMax: 1_000_000,
} as const;
const options = { ...quickOptions, entry: fakeEntry, log: quiet, pipelines: [spec] };
const pool = new Pool(options, ({ type }) => {
  const print = (): void => console.log(String(pool.snapshot()[0]?.pid));
  if (type === "up") pool.load("p0", { model: "fake", modelDir, rowsMax: 8 });
  if (type === "run" || (type === "loaded" && doing === "idle")) print();
  if (type !== "loaded" || doing === "idle") return;
  const items = [makeItem(1, doing === "busy" ? magic.busyLoop : magic.silent)];
  pool.dispatch("p0", { batchId: 1, model: "fake", class: "bulk", items });
});
pool.start();
