// What runs in a process or a thread of its own is loaded anew with each of them, and file by file that is most of its start. Each
// becomes one file, in place; what it loads later, if at all, stays apart.
import { readFileSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";
import { build } from "esbuild";

const entries = [
  "dist/cli/main.js",
  "dist/runtime/entry.js",
  "dist/runtime/weights-maker.js",
  "dist/tasks/prepare-thread-entry.js",
  "dist/jobs/lmdb/thread.js",
  "dist/jobs/lmdb/probe.js",
  // Of the tests, those that are started most.
  "build/test/support/bulk-commands.js",
  "build/test/support/fake-runtime.js",
  "build/test/support/jobs-commands.js",
  "build/test/support/keyed-cli.js",
  "build/test/support/serve-echo.js",
  "build/test/support/serve-fake.js",
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

/** A file names others by where it stands, and goes on to do so from where it is now. */
const fromItsPlace = (outdir) => ({
  name: "from-its-place",
  setup: ({ onLoad }) =>
    onLoad({ filter: /[\\/](dist|build)[\\/].*\.js$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      if (!text.includes("import.meta.url")) return undefined;
      const place = JSON.stringify(relative(resolve(outdir), path).replaceAll(sep, "/"));
      const url = `new URL(${place}, import.meta.url).href`;
      return { contents: text.replaceAll("import.meta.url", url) };
    }),
});

const { dependencies, optionalDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const packages = Object.keys({ ...dependencies, ...optionalDependencies });
for (const entry of entries) {
  await build({
    entryPoints: [entry],
    outdir: dirname(entry),
    allowOverwrite: true,
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    external: packages.filter((name) => !within.includes(name)),
    plugins: [englishOnly, fromItsPlace(dirname(entry))],
    sourcemap: true,
    sourcesContent: false,
    legalComments: "inline",
    logLevel: "warning",
  });
}
