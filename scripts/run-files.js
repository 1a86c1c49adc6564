// `run-files.js LANES`: Node's own runner on each lane, `{ concurrency, files }`, in the order that is given, beside one another;
// `node --test` has an order of its own, and one lane only.
import { once } from "node:events";
import { resolve } from "node:path";
import { PassThrough } from "node:stream";
import { run } from "node:test";
import { spec as Spec } from "node:test/reporters";
import { fileMsMax } from "./name-hung-tests.js";

const lanes = JSON.parse(process.argv[2]);
/** What a lane says of itself when it ends, by name: `tests 12`. One sum is told of all. */
const sums = new Map();
const summary = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;
const out = new PassThrough({ objectMode: true });
out.compose(new Spec()).pipe(process.stdout);

async function runLane({ concurrency, files }) {
  const paths = files.map((file) => resolve(file));
  // A hang is a failure.
  for await (const event of run({ files: paths, concurrency, timeout: fileMsMax })) {
    if (event.type === "test:fail") process.exitCode = 1;
    const said = event.type === "test:diagnostic" && event.data.nesting === 0;
    const [, name, figure] = (said && summary.exec(event.data.message)) || [];
    if (name === undefined) {
      if (!out.write(event)) await once(out, "drain");
    } else if (name === "duration_ms") {
      sums.set(name, Math.max(sums.get(name) ?? 0, Number(figure)));
    } else {
      sums.set(name, (sums.get(name) ?? 0) + Number(figure));
    }
  }
}

await Promise.all(lanes.map(runLane));
for (const [name, sum] of sums)
  out.write({ type: "test:diagnostic", data: { nesting: 0, message: `${name} ${sum}` } });
out.end();
