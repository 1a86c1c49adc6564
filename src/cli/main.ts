#!/usr/bin/env node
/** The `millrace` command: reads the arguments, hands over to one file a command. */
import { Command } from "commander";

const program = new Command("millrace").description("Serves models from one queue.");

await program.parseAsync();
