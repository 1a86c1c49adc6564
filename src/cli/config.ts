/** `millrace config`: every value that `serve` would use with the same flags, and where it came from. */
import { type Command, Option } from "commander";
import type { Configuration } from "../options/resolve.js";
import { flagOf, optionKeys, variableOf } from "../options/table.js";
import { addOptionFlags, configurationFrom } from "./option-flags.js";

export function registerConfig(program: Command): void {
  const command = program
    .command("config")
    .description("Print every option's value and where it came from; start nothing.")
    .addOption(new Option("--json", "one JSON object"));
  addOptionFlags(command).action(({ json, ...flags }: Record<string, unknown>) => {
    const configuration = configurationFrom(flags);
    for (const warning of configuration.warnings) process.stderr.write(`warning: ${warning}\n`);
    process.stdout.write(json === true ? asJson(configuration) : asTable(configuration));
  });
}

function asJson({ options, sources, hash, machine }: Configuration): string {
  const values = optionKeys.map((key) => [key, { value: options[key], source: sources[key] }]);
  const { cores, coresFrom, memoryBytes, memoryFrom, openFilesMax } = machine;
  const found = { cores, coresFrom, memoryBytes, memoryFrom, openFilesMax };
  const body = { hash, machine: found, options: Object.fromEntries(values) as object };
  return `${JSON.stringify(body, null, 2)}\n`;
}

function asTable({ options, sources, hash, machine }: Configuration): string {
  const rows = optionKeys.map((key) => {
    const source = { flag: flagOf(key), variable: variableOf(key), file: "file", code: "code" };
    const from = sources[key] === "default" ? "default" : source[sources[key]];
    return [key, String(options[key]), from] as const;
  });
  const width = (column: 0 | 1): number => Math.max(...rows.map((row) => row[column].length));
  const [keyWidth, valueWidth] = [width(0), width(1)];
  const lines = rows.map(
    ([key, value, from]) => `${key.padEnd(keyWidth)}  ${value.padEnd(valueWidth)}  ${from}`,
  );
  const { cores, coresFrom, memoryBytes, memoryFrom } = machine;
  return [
    ...lines,
    "",
    `cores: ${cores} (${coresFrom})`,
    `memory: ${(memoryBytes / 2 ** 30).toFixed(1)} GiB (${memoryFrom})`,
    `configuration hash: ${hash}`,
    "",
  ].join("\n");
}
