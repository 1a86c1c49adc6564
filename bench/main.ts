/** `npm run bench -- NAME [flags]`: measurements that print what they measured, on what, and with which result. */
import { benches } from "./benches.js";

const [name = "", ...args] = process.argv.slice(2);
const chosen = benches[name];
if (name === "--help") console.log(listText());
else if (chosen === undefined) {
  console.error(listText());
  process.exitCode = 2;
} else {
  // Before anything is loaded: its own help says the rest.
  if (args.includes("--help")) console.log(`${name}: ${chosen.about}\n`);
  const { run } = await chosen.open();
  await run(args);
}

function listText(): string {
  const width = Math.max(...Object.keys(benches).map((each) => each.length));
  const lines = Object.entries(benches).map(
    ([each, { about }]) => `  ${each.padEnd(width)}  ${about}`,
  );
  return ["npm run bench -- NAME [flags]; NAME --help says which", "", ...lines].join("\n");
}
