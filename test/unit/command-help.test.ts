/** What a new user reads first: every command has a line, and every example is a command line that is taken. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { commandTaking, programOf, wordsOf } from "../support/command-lines.js";

function helpOf(command: Command): string {
  let help = "";
  const output = { writeOut: (text: string) => (help += text), getOutHelpWidth: () => 80 };
  command.configureOutput(output).outputHelp();
  return help;
}

/** The arguments of each `millrace` in the lines that begin with a dollar; what comes after them is for people. */
function examplesOf(help: string): string[][] {
  const lines = [...help.matchAll(/^ {2}\$ (.+)$/gm)].map(([, line]) => line ?? "");
  return lines.map((line) => {
    const [, command] = /(?:^|\| )millrace (.+?)(?: {2,}.*| [|<>] .*)?$/.exec(line) ?? [];
    assert.ok(command !== undefined, `no command of Millrace: ${line}`);
    return wordsOf(command);
  });
}

test("`millrace --help` has one line for each command, in groups, and examples of the main ones", () => {
  const program = programOf();
  const help = helpOf(program);
  for (const command of program.commands) {
    assert.ok(command.summary().length > 0, `${command.name()} has no summary`);
    const line = `\n  ${command.name().padEnd(15)}${command.summary()}\n`;
    assert.ok(help.includes(line), `${command.name()} takes more than one line`);
  }
  const headings = [...help.matchAll(/^(\S.*):$/gm)].map(([, heading]) => heading);
  const groups = ["A server", "Work, by a server or without one", "Model folders", "Help"];
  const examples = ["Examples", "With models of your own"];
  assert.deepEqual(headings, ["Options", ...groups, ...examples]);
  const shown = new Set(examplesOf(help).map(([name]) => name));
  for (const name of ["translate", "embed", "classify", "rerank", "ocr", "convert"]) {
    assert.ok(shown.has(name), `no example of ${name}`);
  }
});

/** Every command, those of commands too: `jobs submit`. */
function pathsOf(command: Command, path: readonly string[] = []): string[] {
  const inner = command.commands.flatMap((each) => pathsOf(each, [...path, each.name()]));
  return [path.join(" "), ...inner];
}

for (const path of pathsOf(programOf())) {
  test(`the examples of \`millrace ${path}\` are taken as they are printed`, async () => {
    const words = path === "" ? [] : path.split(" ");
    const wanted = words.reduce(
      (command, word) => command.commands.find((each) => each.name() === word) ?? command,
      programOf(),
    );
    const examples = examplesOf(helpOf(wanted));
    assert.ok(examples.length >= 1, "there is none");
    const called: string[] = [];
    for (const args of examples) called.push(await commandTaking(args));
    const isOwn = (name: string): boolean => path === "" || `${name} `.startsWith(`${path} `);
    assert.ok(called.some(isOwn), `of others only: ${called.join()}`);
  });
}

test("defect: a reader of the help that leaves early is no error", async () => {
  const main = fileURLToPath(import.meta.resolve("#src/cli/main.js"));
  const child = execFile(process.execPath, [main, "serve", "--help"]);
  let err = "";
  child.stderr?.on("data", (piece: string) => {
    err += piece;
  });
  child.stdout?.destroy();
  const code = await new Promise((resolve) => child.once("exit", resolve));
  assert.deepEqual([err, code], ["", 0]);
});
