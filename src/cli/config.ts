/** `millrace config`: every value that `serve` would use with the same flags, and where it came from. */
import { type Command, Option } from "commander";
import { MillraceError } from "millrace-client/wire";
import { optionGroups } from "../options/definition.js";
import type { Options } from "../options/options.js";
import type { Configuration } from "../options/resolve.js";
import { flagOf, optionKeys, optionTable, variableOf } from "../options/table.js";
import { addOptionFlags, configurationFrom } from "./option-flags.js";
import { printText, tell } from "./print.js";

const examples = `
Examples:
  $ millrace config                           what \`millrace serve\` would use
  $ millrace config --pipelines 2 --threads 1
  $ millrace config --config millrace.json --json
  $ millrace config migrate millrace.config.json     a file of an older version, as one of today
`;

const migrateExamples = `
Examples:
  $ millrace config migrate /etc/millrace/millrace.config.json
  $ millrace config migrate millrace.config.json --print    to standard output; nothing is written
`;

export function registerConfig(program: Command): void {
  const command = program
    .command("config")
    .summary("print every option's value and where it came from")
    .description("Print every option's value and where it came from; start nothing.")
    .addOption(new Option("--json", "one JSON object"))
    .addHelpText("after", examples);
  command
    .command("migrate <file>")
    .summary("write a configuration file of an older version as one of today")
    .description(
      "Write a configuration file of an older version as one of today; comments stay, and the old one is kept beside it.",
    )
    .option("--print", "to standard output; nothing is written")
    .addHelpText("after", migrateExamples)
    .action(async (file: string, { print = false }: { readonly print?: boolean }) => {
      const { migrateFile } = await import("./migrate-file.js");
      await migrateFile(file, print);
    });
  addOptionFlags(command).action(async ({ json, ...flags }: Record<string, unknown>) => {
    const { withKeptTrial } = await import("../trial/trial.js");
    const configuration = await withKeptTrial(configurationFrom(flags));
    for (const warning of configuration.warnings) tell(`warning: ${warning}\n`);
    const models = await readModels(configuration.options);
    const shown = json === true ? asJson : asTable;
    printText(shown(configuration, models));
  });
}

/** What a request gets that sets nothing by itself, and rows that run at once in a pipeline; or why the folder would not be served. */
type ModelSettings =
  | {
      readonly dir: string;
      readonly name: string;
      readonly settings: Readonly<Record<string, number | string | boolean>>;
      readonly rowsMax: number;
    }
  | { readonly dir: string; readonly problem: string };

/** The manifests only: the files beside them may be large, and are looked at by `inspect` and by the start. */
async function readModels(options: Options): Promise<ModelSettings[]> {
  const { models: modelsDir } = options;
  const { findModels } = await import("../models/registry.js");
  try {
    return await Promise.all((await findModels(modelsDir)).map((dir) => settingsOf(dir, options)));
  } catch (error) {
    return [{ dir: modelsDir, problem: problemOf(error) }];
  }
}

async function settingsOf(dir: string, options: Options): Promise<ModelSettings> {
  const { engineTable, rowsMaxOf } = await import("../models/engine-table.js");
  const { readModel } = await import("../models/read-manifest.js");
  try {
    const { manifest } = await readModel(dir);
    const settings = engineTable[manifest.engine].settings(manifest);
    return { dir, name: manifest.name, settings, rowsMax: rowsMaxOf(manifest, options) };
  } catch (error) {
    return { dir, problem: problemOf(error) };
  }
}

/** Anything else is a bug, and leaves as one. */
function problemOf(error: unknown): string {
  if (error instanceof MillraceError) return error.message;
  throw error;
}

function asJson(
  { options, sources, hash, machine, measured }: Configuration,
  models: readonly ModelSettings[],
): string {
  const values = optionKeys.map((key) => [key, { value: options[key], source: sources[key] }]);
  const { cores, coresFrom, memoryBytes, memoryFrom, openFilesMax } = machine;
  const found = { cores, coresFrom, memoryBytes, memoryFrom, openFilesMax };
  const body = {
    hash,
    machine: found,
    measured,
    models,
    options: Object.fromEntries(values) as object,
  };
  return `${JSON.stringify(body, null, 2)}\n`;
}

function asTable(
  { options, sources, hash, machine, measured }: Configuration,
  models: readonly ModelSettings[],
): string {
  const rows = optionKeys.map((key) => {
    const source = { flag: flagOf(key), variable: variableOf(key) };
    const from = { ...source, measured: `measured (${measured})` }[sources[key] as string];
    const value = options[key] ?? ("value" in optionTable[key].default ? "none" : "see below");
    return [key, String(value), from ?? sources[key]] as const;
  });
  const width = (column: 0 | 1): number => Math.max(...rows.map((row) => row[column].length));
  const [keyWidth, valueWidth] = [width(0), width(1)];
  // Ninety of them are read group by group, in the groups of the help.
  const lines = optionGroups.flatMap((group) => {
    const own = rows.filter(([key]) => optionTable[key].group === group);
    const told = own.map(
      ([key, value, from]) => `${key.padEnd(keyWidth)}  ${value.padEnd(valueWidth)}  ${from}`,
    );
    return [`${group}:`, ...told, ""];
  });
  const { cores, coresFrom, memoryBytes, memoryFrom } = machine;
  return [
    ...lines,
    `cores: ${cores} (${coresFrom})`,
    `memory: ${(memoryBytes / 2 ** 30).toFixed(1)} GiB (${memoryFrom})`,
    ...models.map(modelLine),
    `configuration hash: ${hash}`,
    "",
  ].join("\n");
}

function modelLine(model: ModelSettings): string {
  if ("problem" in model) return `model folder ${model.dir}: ${model.problem}`;
  const settings = Object.entries(model.settings).map(([key, value]) => `${key} ${value}`);
  const rows = `${model.rowsMax} rows at once`;
  if (settings.length === 0) return `model ${model.name}: nothing that a request may set; ${rows}`;
  return `model ${model.name}: ${settings.join(", ")} (its own; a request may set others); ${rows}`;
}
