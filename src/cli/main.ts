#!/usr/bin/env node
/** READ FIRST: the `millrace` command; one file a command, and commands.ts lists them. */
import { registerCommands } from "./commands.js";
import { newProgram, run } from "./program.js";

const program = newProgram();
registerCommands(program);
await run(program);
