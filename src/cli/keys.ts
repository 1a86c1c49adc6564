/** `millrace keys`: the file of keys that `serve --keys` reads. A key is shown when it is made, and never again. */
import { type Command, InvalidArgumentError } from "commander";
import { MillraceError, type WorkClass, workClasses } from "millrace-client/wire";
import type { KeyRecord } from "../access/key-file.js";
import { printJson, printText, tell } from "./print.js";

interface FileFlags {
  readonly keys: string;
  readonly json?: boolean;
}

interface AddFlags extends FileFlags {
  readonly tenant?: string;
  readonly classes?: readonly WorkClass[];
  readonly models?: readonly string[];
  readonly rate?: number;
  readonly burst?: number;
  readonly quota?: number;
  readonly admin?: boolean;
}

const addExamples = `
Examples:
  $ millrace keys add shop --keys keys.json
  $ millrace keys add nightly --keys keys.json --classes bulk --rate 200 --quota 5000000
  $ millrace keys add search --keys keys.json --models minilm --tenant search-team
  $ millrace keys add ops --keys keys.json --admin
`;

const examples = `
Examples:
  $ millrace keys add shop --keys keys.json
  $ millrace keys list --keys keys.json
  $ millrace keys revoke shop --keys keys.json
`;

const listExamples = `
Examples:
  $ millrace keys list --keys keys.json
  $ millrace keys list --keys keys.json --json | jq -r '.[].name'
`;

const revokeExamples = `
Examples:
  $ millrace keys revoke shop --keys keys.json
`;

export function registerKeys(program: Command): void {
  const keys = program
    .command("keys")
    .summary("make, list and revoke the keys that callers need")
    .description(
      "The file of keys that `millrace serve --keys FILE` reads; a running server follows it within a second.",
    )
    .addHelpText("after", examples);
  withFile(keys.command("add <name>"))
    .summary("make a key, and show it once")
    .description(
      "Make a key and show it, once: the file has its hash only. Without further flags it may do all but administrate.",
    )
    .option(
      "--tenant <name>",
      "whose share its work counts to, * for what requests say; else the key's name",
    )
    .option(
      "--classes <classes>",
      "realtime, bulk, or both with a comma between; else both",
      classes,
    )
    .option("--models <names>", "the models it may use, with commas between; else all", list)
    .option("--rate <inputs>", "inputs a second; else as many as it likes", positive)
    .option("--burst <inputs>", "inputs that may come at once; else those of a second", positive)
    .option("--quota <inputs>", "inputs in a calendar month (UTC); else as many as it likes", whole)
    .option("--admin", "may load and unload models, and look into the server")
    .addHelpText("after", addExamples)
    .action(add);
  withFile(keys.command("list"))
    .summary("show the keys, without what opens the door")
    .description("Show the keys and what each may; the keys themselves are not in the file.")
    .addHelpText("after", listExamples)
    .action(show);
  withFile(keys.command("revoke <name>"))
    .summary("take a key away")
    .description(
      "Take a key away: a running server refuses it within a second, on open connections too.",
    )
    .addHelpText("after", revokeExamples)
    .action(revoke);
}

function withFile(command: Command): Command {
  return command
    .requiredOption(
      "--keys <file>",
      "the file of keys (MILLRACE_KEYS)",
      process.env["MILLRACE_KEYS"],
    )
    .option("--json", "as JSON");
}

async function add(name: string, flags: AddFlags): Promise<void> {
  const { tenant, classes: only, models, rate, burst, quota, admin } = flags;
  if (burst !== undefined && rate === undefined)
    throw invalid("--burst says nothing without --rate");
  const { changeKeyFile, newKey } = await import("../access/key-file.js");
  const { key, sha256 } = newKey();
  const record: KeyRecord = {
    name,
    sha256,
    createdAt: new Date().toISOString(),
    ...(tenant === undefined ? {} : { tenant }),
    ...(only === undefined ? {} : { classes: [...only] }),
    ...(models === undefined ? {} : { models: [...models] }),
    ...(admin === undefined ? {} : { admin }),
    ...(rate === undefined ? {} : { ratePerSecond: rate }),
    ...(burst === undefined ? {} : { burst }),
    ...(quota === undefined ? {} : { quotaPerMonth: quota }),
  };
  checkName(name);
  const change = (keys: readonly KeyRecord[]): readonly KeyRecord[] => {
    if (keys.every((each) => each.name !== name)) return [...keys, record];
    throw invalid(`there is a key called ${name}; revoke it, or choose another name`);
  };
  await changeKeyFile(flags.keys, change, "create");
  if (flags.json === true) {
    printJson({ key, ...shown(record) });
    return;
  }
  printText(`${key}\n`);
  tell(`This is the only time that the key of ${name} is shown; ${flags.keys} has its hash.\n`);
}

async function show(flags: FileFlags): Promise<void> {
  const { readKeyFile } = await import("../access/key-file.js");
  const keys = await readKeyFile(flags.keys);
  if (flags.json === true) {
    printJson(keys.map(shown));
    return;
  }
  const rows = [
    ["name", "made", "tenant", "classes", "models", "inputs a second", "a month", "admin"],
    ...keys.map(rowOf),
  ];
  const widths = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((row) => (row[at] ?? "").length)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  printText(`${lines.join("\n")}\n`);
}

async function revoke(name: string, flags: FileFlags): Promise<void> {
  const change = (keys: readonly KeyRecord[]): readonly KeyRecord[] => {
    if (keys.some((each) => each.name === name)) return keys.filter((each) => each.name !== name);
    throw invalid(
      `there is no key called ${name}; there are: ${keys.map((each) => each.name).join(", ")}`,
    );
  };
  const { changeKeyFile } = await import("../access/key-file.js");
  await changeKeyFile(flags.keys, change, "refuse");
  if (flags.json === true) printJson({ revoked: name });
  else tell(`${name} is revoked.\n`);
}

/** Without the hash: it opens nothing, and helps nobody. */
function shown({ sha256: _hash, ...others }: KeyRecord): object {
  return others;
}

function rowOf(key: KeyRecord): string[] {
  const { name, createdAt, tenant = name, classes: only, models, ratePerSecond, burst } = key;
  const rate = ratePerSecond === undefined ? "any" : String(ratePerSecond);
  return [
    name,
    createdAt.slice(0, 10),
    tenant,
    only?.join(",") ?? "all",
    models?.join(",") ?? "all",
    burst === undefined ? rate : `${rate}, ${burst} at once`,
    String(key.quotaPerMonth ?? "any"),
    key.admin === true ? "yes" : "no",
  ];
}

function checkName(name: string): void {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(name)) return;
  throw invalid("a key's name is 1 to 64 letters, digits, dots, dashes or underscores");
}

function list(value: string): readonly string[] {
  const names = value.split(",").map((each) => each.trim());
  if (names.includes("")) throw new InvalidArgumentError("Names, with commas between.");
  return [...new Set(names)];
}

function classes(value: string): readonly WorkClass[] {
  return list(value).map((each) => {
    const found = workClasses.find((known) => known === each);
    if (found === undefined) throw new InvalidArgumentError(`One of ${workClasses.join(", ")}.`);
    return found;
  });
}

function whole(value: string): number {
  if (/^\d{1,15}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("Not a whole number.");
}

function positive(value: string): number {
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("Not a whole number from 1 to 999999999.");
}

function invalid(message: string): MillraceError {
  return new MillraceError("option_invalid", message);
}
