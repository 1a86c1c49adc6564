/** `millrace init`: a configuration file with every option in it, as a comment, with what it means and its default. */
import { constants, copyFile, realpath, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { MillraceError } from "millrace-client/wire";
import { configVersion, configVersionKey } from "../options/config-file.js";
import { type AnyOptionDefinition, optionGroups } from "../options/definition.js";
import { durationText } from "../options/duration.js";
import type { Machine } from "../options/machine.js";
import type { OptionKey } from "../options/options.js";
import { resolveConfiguration } from "../options/resolve.js";
import { flagOf, optionKeys, optionTable, variableOf } from "../options/table.js";
import { makeFolders } from "../platform/make-folders.js";
import { move } from "../platform/move.js";
import { writeProblem } from "../work/file-problem.js";
import { hasCode } from "../work/thrown.js";
import { defaultText } from "./option-flags.js";
import { printText, tell } from "./print.js";

const fileName = "millrace.config.json";
const columnsMax = 100;

const examples = `
Examples:
  $ millrace init                        ${fileName}, here
  $ millrace init /etc/millrace --force  in that folder, over what is there

\`millrace serve --config ${fileName}\` then takes it.
`;

export function registerInit(program: Command): void {
  program
    .command("init")
    .summary("write a configuration file with every option explained")
    .description(
      `Write ${fileName}: every option as a comment, with what it means and its default.`,
    )
    .argument("[dir]", "the folder; made where it is missing", ".")
    .option("--force", "over a file that is there")
    .addHelpText("after", examples)
    .action(async (dir: string, { force = false }: { readonly force?: boolean }) => {
      const path = join(dir, fileName);
      await write(path, dir, force);
      printText(`${path}\n`);
      tell(`Take the comment from what you set; then: millrace serve --config ${path}\n`);
    });
}

/** Whole, or not at all. */
async function write(path: string, dir: string, force: boolean): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  let isWritten: boolean;
  try {
    await makeFolders(dir);
    await writeFile(partial, configurationText());
    isWritten = force ? await writeOver(partial, path) : await writeNew(partial, path);
  } catch (cause) {
    const message = `cannot write ${path}: ${writeProblem(cause)}`;
    throw new MillraceError("option_invalid", message, { cause });
  } finally {
    await rm(partial, { force: true }).catch(() => {});
  }
  if (isWritten) return;
  const message = `${path} is there already; --force writes over it`;
  throw new MillraceError("option_invalid", message);
}

/** False: the name is taken. Not every file system has hard links. */
async function writeNew(partial: string, path: string): Promise<boolean> {
  try {
    await copyFile(partial, path, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}

/** What a link points to is replaced, and not the link. */
async function writeOver(partial: string, path: string): Promise<true> {
  await move(partial, await realpath(path).catch(() => path));
  return true;
}

/** JSON with comments, as `--config` takes it; with none of them taken away it sets nothing. */
export function configurationText(machine?: Machine): string {
  const { options } = resolveConfiguration(machine === undefined ? {} : { machine });
  const parts = [
    "// Options of `millrace serve --config FILE`, or of the variable MILLRACE_CONFIG. Each stands here with its default, or",
    "// with an example: take the two slashes before it away and set it. A flag wins over a variable, a variable over this",
    "// file. Paths are meant from the folder of this file. `millrace config --config FILE` prints what would be used.",
    "{",
    "  // Of this file's format: it stays as it is, and a newer Millrace knows by it what each key meant.",
    `  "${configVersionKey}": ${configVersion},`,
    "",
  ];
  for (const group of optionGroups) {
    parts.push(`  // ---- ${group} ${"-".repeat(columnsMax - group.length - 11)}`, "");
    for (const key of optionKeys.filter((each) => optionTable[each].group === group)) {
      parts.push(...entry(key, options[key]), "");
    }
  }
  return [...parts.slice(0, -1), "}", ""].join("\n");
}

function entry(key: OptionKey, value: string | number | boolean | null): string[] {
  const definition: AnyOptionDefinition = optionTable[key];
  const choices = definition.type === "choice" ? ` One of ${definition.choices.join(", ")}.` : "";
  const help = `${definition.help}${choices} Default: ${defaultText(key)}. (${flagOf(key)}, ${variableOf(key)})`;
  const shown = value === null ? exampleOf(definition) : valueText(definition, value);
  return [...wrapped(help), `  // "${key}": ${JSON.stringify(shown)},`];
}

function valueText(
  definition: AnyOptionDefinition,
  value: string | number | boolean,
): string | number | boolean {
  return definition.type === "duration" ? durationText(Number(value)) : value;
}

/** Of an option that is off. */
function exampleOf(definition: AnyOptionDefinition): string | number | boolean {
  switch (definition.type) {
    case "integer":
      return definition.max === 65_535 ? 8_401 : definition.min;
    case "ratio":
      return 1;
    case "duration":
      return durationText(definition.minMs);
    case "flag":
      return true;
    case "choice":
      return String(definition.choices[0]);
    case "path":
      return definition.what === "file" ? "./FILE" : "./FOLDER";
    case "name":
    case "text":
      return "TEXT";
  }
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = "  //";
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > columnsMax && line !== "  //") {
      lines.push(line);
      line = "  //";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
