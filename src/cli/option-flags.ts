/** The server's options as flags, made from the table. */
import { type Command, Option } from "commander";
import { type AnyOptionDefinition, optionGroups } from "../options/definition.js";
import { durationText } from "../options/duration.js";
import type { OptionKey } from "../options/options.js";
import { type Configuration, resolveConfiguration } from "../options/resolve.js";
import { flagOf, optionKeys, optionTable, variableOf } from "../options/table.js";

/** Values stay strings here: resolve.ts reads flags, variables and file by the same rules and reports all mistakes. */
export function addOptionFlags(command: Command, keys: readonly OptionKey[] = optionKeys): Command {
  command.option(
    "--config <file>",
    "JSON file of options, as `millrace init` writes one (MILLRACE_CONFIG)",
  );
  for (const group of optionGroups) {
    for (const key of keys.filter((each) => optionTable[each].group === group)) {
      const definition = optionTable[key];
      const flag = `${flagOf(key)}${placeholder(definition)}`;
      // In the help and not in the flag: the longest flag sets the width of the column for all.
      const choices =
        definition.type === "choice" ? ` One of ${definition.choices.join(", ")}.` : "";
      const help = `${definition.help}${choices} Default: ${defaultText(key)}. (${variableOf(key)})`;
      command.addOption(new Option(flag, help).helpGroup(`${group}:`));
      const { formerKey } = definition;
      if (formerKey !== undefined) {
        command.addOption(new Option(`${flagOf(formerKey)}${placeholder(definition)}`).hideHelp());
      }
    }
  }
  return command;
}

/** @throws MillraceError `option_invalid` */
export function configurationFrom(flags: Readonly<Record<string, unknown>>): Configuration {
  const { config, ...others } = flags;
  const file = config ?? process.env["MILLRACE_CONFIG"];
  return resolveConfiguration({
    flags: others,
    variables: process.env,
    ...(typeof file === "string" ? { file } : {}),
  });
}

export function defaultText(key: OptionKey): string {
  const definition: AnyOptionDefinition = optionTable[key];
  const { default: fallback } = definition;
  if (!("value" in fallback)) return fallback.text;
  if (fallback.value === null) return "none";
  if (definition.type === "duration") return durationText(Number(fallback.value));
  return String(fallback.value);
}

function placeholder(definition: AnyOptionDefinition): string {
  switch (definition.type) {
    case "integer":
      return ` <${definition.unit}>`;
    case "choice":
      return " <choice>";
    case "ratio":
      return " <0 to 1>";
    case "duration":
      return " <time>";
    case "name":
    case "text":
      return ` <${definition.type}>`;
    case "path":
      return ` <${definition.what ?? "folder"}>`;
    case "flag":
      return "";
  }
}
