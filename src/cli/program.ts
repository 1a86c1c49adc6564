/** What all commands share: help, and how errors leave. */
import { Command, CommanderError } from "commander";
import { type ErrorCode, MillraceError } from "millrace-client/wire";
import { version } from "../version.js";
import { exitCodes } from "./exit-codes.js";

const examples = `
Examples:
  $ millrace serve --port 8400                       the bundled model, on this machine's cores
  $ millrace serve --models ./models --environment prod --log json
  $ millrace serve --realtime-pipelines 1 --batch-pipelines 3
  $ millrace config --config millrace.json           every value and where it came from
  $ millrace translate "A sentence."
`;

export function newProgram(): Command {
  return (
    new Command("millrace")
      .description("Serves models from one queue.")
      .version(version)
      .addHelpText("after", examples)
      // Errors are printed in `run`, all in the same form.
      .configureOutput({ outputError: () => {} })
      .exitOverride()
  );
}

/** Runs the command that `argv` names; an error ends the process with the status of exit-codes.ts. */
export async function run(program: Command, argv: readonly string[] = process.argv): Promise<void> {
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const told = tellable(error);
    if (told === null) throw error;
    for (const line of told.message.split("\n")) process.stderr.write(`${told.code}: ${line}\n`);
    process.exitCode = exitCodeOf[told.code] ?? exitCodes.failed;
  }
}

function tellable(error: unknown): MillraceError | null {
  if (error instanceof MillraceError) return error;
  if (!(error instanceof CommanderError)) return null;
  return new MillraceError(
    "option_invalid",
    error.message.replace(/^error: /, "").replace("\n", " "),
    {
      cause: error,
    },
  );
}

const exitCodeOf: Readonly<Partial<Record<ErrorCode, number>>> = {
  option_invalid: exitCodes.usage,
  connection_failed: exitCodes.unreachable,
  response_invalid: exitCodes.unreachable,
  deployment_mismatch: exitCodes.wrongDeployment,
};
