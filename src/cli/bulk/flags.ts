/** READ FIRST. What the commands share that work through inputs without number: their flags. Who does the work: workplace.ts. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type MillraceError, type WorkClass, workClasses } from "millrace-client";
import { readProblem, writeProblem } from "../../work/file-problem.js";
import { AdvisedError } from "../advised-error.js";
import { addKeyFlag } from "../remote.js";

/** The flags of these commands as commander gives them; each part takes those that it reads. */
export interface BulkFlags {
  /** Absent: see workplace.ts. */
  readonly url?: string;
  readonly key?: string;
  readonly local?: boolean;
  readonly models?: string;
  readonly quiet?: boolean;
  readonly out?: string;
  readonly model?: string;
  readonly class?: WorkClass;
  readonly expectEnvironment?: string;
  readonly jsonSummary?: boolean;
  readonly progress: boolean;
}

export function addBulkFlags(command: Command): Command {
  command
    .option(
      "--url <url>",
      "a server that does the work; else MILLRACE_URL, else one that runs here",
    )
    .option("--local", "in this process, whatever runs here")
    .option("--models <folder>", "in this process, with these models; else the bundled ones")
    .option("--quiet", "do not say who does the work");
  return addKeyFlag(command)
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
  const isWritten = flag === "--out";
  const told = isWritten ? writeProblem(cause) : readProblem(cause);
  const message = `${flag}: cannot use ${path}: ${typeof cause === "string" ? cause : told}`;
  const advice = `Check the name, and that you may ${isWritten ? "write" : "read"} it.`;
  return new AdvisedError("option_invalid", message, advice);
}
