// `run-files.js CONCURRENCY FILE…`: Node's own runner, in the order that is given; `node --test` has its own.
import { resolve } from "node:path";
import { run } from "node:test";
import { spec as Spec } from "node:test/reporters";
import { processMsMax } from "./name-hung-tests.js";
import { plainFailures } from "./plain-failures.js";

const [concurrency, ...names] = process.argv.slice(2);
const files = names.map((name) => resolve(name));
// A hang is a failure.
run({ files, concurrency: Number(concurrency), timeout: processMsMax })
  .on("test:fail", () => {
    process.exitCode = 1;
  })
  .compose(plainFailures)
  .compose(new Spec())
  .pipe(process.stdout);
