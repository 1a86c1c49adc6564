/** READ FIRST. What the commands share that work through inputs without number: their flags, and the client that they make. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { Millrace, MillraceError, type WorkClass, workClasses } from "millrace-client";
import { addServerFlags, keyOf, type ServerFlags } from "../remote.js";

/** The flags of these commands as commander gives them; each part takes those that it reads. */
export interface BulkFlags extends ServerFlags {
  readonly out?: string;
  readonly model?: string;
  readonly class?: WorkClass;
  readonly expectEnvironment?: string;
  readonly jsonSummary?: boolean;
  readonly progress: boolean;
}

export function addBulkFlags(command: Command): Command {
  return addServerFlags(command)
    .option("--model <name>", "needed only where several are served")
    .addOption(new Option("--class <class>", "else by size").choices(workClasses))
    .option("--expect-environment <name>", "refuse any other environment")
    .option("--json-summary", "the summary as JSON")
    .option("--no-progress", "no progress bar");
}

/** For the commands whose `--out` a later run goes on with. */
export function addRestartFlag(command: Command): Command {
  return command.option("--restart", "begin --out anew, whatever is there");
}

/** Every call of such a command is a request of its own. */
export function clientOf(flags: BulkFlags): Millrace {
  const { url, expectEnvironment } = flags;
  const expect = expectEnvironment === undefined ? {} : { environment: expectEnvironment };
  return new Millrace(url, { sharing: false, expect, ...keyOf(flags) });
}

/** What goes into every request. */
export function fieldsOf({ model, class: workClass }: BulkFlags): {
  readonly model?: string;
  readonly class?: WorkClass;
} {
  return {
    ...(model === undefined ? {} : { model }),
    ...(workClass === undefined ? {} : { class: workClass }),
  };
}

/** A flag's value that is a whole number, 0 or more. */
export function wholeNumber(value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("Not a whole number.");
}

/** A path that a flag or an argument names, and why nothing can be done with it. */
export function unusable(flag: string, path: string, cause: unknown): MillraceError {
  const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  return new MillraceError("option_invalid", `${flag}: cannot use ${path} (${reason})`, { cause });
}
