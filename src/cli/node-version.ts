/** Whether this Node can run Millrace at all: asked before anything else is loaded, in words that every Node reads. */
import { readFileSync } from "node:fs";

const manifest = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as {
  readonly engines: { readonly node: string };
};

/** Null: it can. `running` is a version like 20.19.0, `needed` a range like >=20.19. */
export function nodeProblem(
  running: string = process.versions.node,
  needed: string = manifest.engines.node,
): string | null {
  const [major = 0, minor = 0] = numbersOf(running);
  const [majorMin = 0, minorMin = 0] = numbersOf(needed);
  if (major > majorMin || (major === majorMin && minor >= minorMin)) return null;
  const least = `${majorMin}.${minorMin}`;
  return `Millrace needs Node ${least} or newer; this is ${running}.\nnodejs.org has newer ones; \`node --version\` says which is found first, and \`npx --package=node@24 --package=millrace millrace\` brings one along.`;
}

function numbersOf(text: string): number[] {
  return text
    .replace(/^[^\d]+/, "")
    .split(".")
    .map(Number);
}
