#!/usr/bin/env node
/** The `millrace` command: one file a command; each registers itself here. */
import { registerConfig } from "./config.js";
import { newProgram, run } from "./program.js";

const program = newProgram();
registerConfig(program);
await run(program);
