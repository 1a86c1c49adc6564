/** Speaks as CTranslate2's driver does, and translates each sentence into its pieces backwards. */
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const sentences = readFileSync(process.argv.at(-1) ?? "", "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => line.split(" "));
console.log(`ready ${sentences.length}`);
for await (const line of createInterface({ input: process.stdin })) {
  const [, , count = "0", file = ""] = line.split(" ");
  const outputs = sentences.slice(0, Number(count)).map((pieces) => [...pieces].reverse());
  writeFileSync(file, `${outputs.map((pieces) => pieces.join(" ")).join(" \n")} \n`);
  console.log(`0.5 ${outputs.length} ${outputs.flat().length}`);
}
