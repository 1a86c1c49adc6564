// What runs in a process or a thread of its own is loaded anew with each of them, and file by file that is most of its start. Each
// becomes one file, in place; what it loads later, if at all, stays apart.
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { build } from "esbuild";

const entries = [
  "dist/runtime/entry.js",
  "dist/tasks/prepare-thread-entry.js",
  "dist/jobs/lmdb/thread.js",
];
/** Of the packages: our own, and the one whose hundred files all of them read. The others are native, or large and seldom needed. */
const within = ["millrace-client", "zod"];
/** Sixty languages, half of all that it is: nobody chooses one. */
const englishOnly = {
  name: "english-only",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
    })),
};

const { dependencies, optionalDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const packages = Object.keys({ ...dependencies, ...optionalDependencies });
for (const entry of entries) {
  await build({
    entryPoints: [entry],
    // Beside it: its files name others by where they stand.
    outdir: dirname(entry),
    allowOverwrite: true,
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    external: packages.filter((name) => !within.includes(name)),
    plugins: [englishOnly],
    sourcemap: true,
    sourcesContent: false,
    legalComments: "inline",
    logLevel: "warning",
  });
}
