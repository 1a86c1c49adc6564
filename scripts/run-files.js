// `run-files.js CONCURRENCY FILE…`: Node's own runner, in the order that is given; `node --test` has its own.
import { resolve } from "node:path";
import { run } from "node:test";
import { spec as Spec } from "node:test/reporters";
import { fileMsMax } from "./name-hung-tests.js";

const [concurrency, ...names] = process.argv.slice(2);
const files = names.map((name) => resolve(name));
// A hang is a failure.
run({ files, concurrency: Number(concurrency), timeout: fileMsMax })
  .on("test:fail", () => {
    process.exitCode = 1;
  })
  .compose(new Spec())
  .pipe(process.stdout);
