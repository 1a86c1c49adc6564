/**
 * Whether the runtime is there. Its package's install script fetches GPU libraries from elsewhere; behind a firewall that fails, and
 * npm leaves the package out: it is an optional one, or npm would undo the whole install, and `npx` end without a word.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../work/thrown.js";

const name = "onnxruntime-node";

/** @throws MillraceError `not_ready`, with what to type. */
export function checkRuntime(
  resolve: (name: string) => string = createRequire(import.meta.url).resolve,
): void {
  try {
    resolve(name);
  } catch (cause) {
    throw runtimeMissing(cause);
  }
}

/** Of an error that says that the package cannot be found; null: it is another one. */
export function missingRuntime(thrown: unknown): MillraceError | null {
  const isMissing = /^Cannot find (module|package) 'onnxruntime-node'/.test(messageOf(thrown));
  return isMissing ? runtimeMissing(thrown) : null;
}

function runtimeMissing(cause: unknown): MillraceError {
  const manifest = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ) as { readonly optionalDependencies: Readonly<Record<string, string>> };
  const wanted = `${name}@${manifest.optionalDependencies[name]}`;
  const typed = [
    `npm install --ignore-scripts millrace ${wanted}`,
    `npx --ignore-scripts --package=millrace --package=${wanted} millrace …`,
  ];
  const why =
    "its install script fetches GPU libraries, which Millrace does not need, and npm leaves it out where that fails";
  const message = `${name} is not installed (${why}). Type \`${typed[0]}\`, or with npx \`${typed[1]}\``;
  return new MillraceError("not_ready", message, { cause });
}
