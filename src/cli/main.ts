#!/usr/bin/env node
/** The `millrace` command: reads the arguments, hands over to one file a command. */
import { Command } from "commander";
import { registerStatus } from "./status.js";
import { registerTranslate } from "./translate.js";

const program = new Command("millrace").description("Serves models from one queue.");
registerTranslate(program);
registerStatus(program);

await program.parseAsync();
