/** Command lines of `millrace`, read as it reads them, and then not run. */
import assert from "node:assert/strict";
import type { Command } from "commander";
import { registerCommands } from "#src/cli/commands.js";
import { configurationFrom } from "#src/cli/option-flags.js";
import { newProgram } from "#src/cli/program.js";

/** A new one each time: commander keeps what it has parsed. */
export function programOf(): Command {
  const program = newProgram();
  registerCommands(program);
  return program;
}

/** As a shell has them, of what stands in no more than double quotes. */
export function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? "");
}

/** Which command takes them: `jobs submit`. Rejects where none does, or options have wrong values. */
export async function commandTaking(args: readonly string[]): Promise<string> {
  const program = programOf();
  const taken: string[] = [];
  for (const command of program.commands) {
    for (const inner of command.commands) {
      inner.action(() => void taken.push(`${command.name()} ${inner.name()}`));
    }
    command.action(() => {
      taken.push(command.name());
      if (command.name() !== "serve" && command.name() !== "config") return;
      const { config: _file, json: _json, ...flags } = command.opts<Record<string, unknown>>();
      configurationFrom(flags);
    });
  }
  await program.parseAsync(args, { from: "user" });
  const [command, ...more] = taken;
  assert.ok(command !== undefined && more.length === 0, args.join(" "));
  return command;
}
