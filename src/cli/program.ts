/** What all commands share: help, and how errors leave. */
import { Command, CommanderError } from "commander";
import { errorRegistry, MillraceError } from "millrace-client/wire";
import { version } from "../version.js";
import { exitCodes, exitCodesOfErrors } from "./exit-codes.js";

const examples = `
Examples:
  $ millrace serve --port 8400                       the bundled model, on this machine's cores
  $ millrace serve --models ./models --environment prod --log json
  $ millrace serve --realtime-pipelines 1 --bulk-pipelines 3
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

/** Runs the command that `argv` names; an error is printed and sets the status that exit-codes.ts gives it. */
export async function run(program: Command, argv: readonly string[] = process.argv): Promise<void> {
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const told = tellable(error);
    // A bug: whoever reports it needs the stack, which Node prints.
    if (told === null) throw error;
    process.stderr.write(`${errorText(told)}${errorRegistry[told.code].whatToDo}\n`);
    process.exitCode = exitCodesOfErrors[told.code] ?? exitCodes.failed;
  }
}

/** The one form of an error on a terminal: `code: message`, on every line of the message. */
export function errorText({ code, message }: Pick<MillraceError, "code" | "message">): string {
  return message
    .split("\n")
    .map((line) => `${code}: ${line}\n`)
    .join("");
}

function tellable(error: unknown): MillraceError | null {
  if (error instanceof MillraceError) return error;
  if (!(error instanceof CommanderError)) return null;
  // A bare `millrace`: commander has printed the help, and means that as the error.
  const message =
    error.code === "commander.help"
      ? "name a command"
      : error.message.replace(/^error: /, "").replace("\n", " ");
  return new MillraceError("option_invalid", message, { cause: error });
}
