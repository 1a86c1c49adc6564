#!/usr/bin/env node
/**
 * READ FIRST: the `millrace` command; one file a command, and commands.ts lists them. Nothing of it is loaded by a Node that is too
 * old: it would fail somewhere in there, and say nothing that helps.
 */
import { nodeProblem } from "./node-version.js";

const problem = nodeProblem();
if (problem === null) {
  const { registerCommands } = await import("./commands.js");
  const { newProgram, run } = await import("./program.js");
  const program = newProgram();
  registerCommands(program);
  await run(program);
} else {
  process.stderr.write(`${problem}\n`);
  // As exit-codes.ts has it for what could not start.
  process.exitCode = 3;
}
