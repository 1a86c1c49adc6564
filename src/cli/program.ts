/** What all commands share: help, and how errors leave. */
import { Command, CommanderError, type ParseOptionsResult } from "commander";
import { MillraceError } from "millrace-client/wire";
import { missingRuntime } from "../runtime/installed-runtime.js";
import { version } from "../version.js";
import { exitCodes, exitCodesOfErrors } from "./exit-codes.js";
import { tell } from "./print.js";
import { whatToDo } from "./what-to-do.js";
import { withoutControls } from "./without-controls.js";

const examples = `
Examples:
  $ millrace translate "Where is the station?"       with the bundled models; no server is needed
  $ millrace embed sentences.txt --out vectors.npy
  $ millrace serve                                   a server, which the commands above then use

With models of your own:
  $ millrace convert ./ms-marco-MiniLM-L6-v2 --out models/ranker
  $ millrace convert ./distilbert-sst2 --out models/sentiment
  $ millrace convert --task ocr --detector det.onnx --recogniser rec.onnx --keys keys.txt --out models/pages
  $ millrace serve --models ./models
  $ millrace rerank "how do I renew a passport" passages.txt --top 5
  $ millrace classify reviews.txt --out labels.jsonl
  $ millrace ocr ./scans --out scans.jsonl

\`millrace COMMAND --help\` has the flags of each, and more examples.
`;

/** A flag that there is not is told first: commander asks for those that are missing before. */
class OwnCommand extends Command {
  override createCommand(name?: string): Command {
    return new OwnCommand(name);
  }

  override parseOptions(argv: string[]): ParseOptionsResult {
    const parsed = super.parseOptions(argv);
    // Of a command that has commands they are flags of these. Help that is asked for comes before both.
    if (this.commands.length === 0 && parsed.unknown.length > 0)
      for (const option of this.options) option.mandatory = false;
    return parsed;
  }
}

export function newProgram(): Command {
  return (
    new OwnCommand("millrace")
      .description(
        "Serves models from one queue: translation, embeddings, labels, ranks, text on pictures, any ONNX graph.",
      )
      .version(version)
      .addHelpText("after", examples)
      // A line for each command: its arguments and flags are told by its own help.
      .configureHelp({ subcommandTerm: (command) => command.name() })
      // Errors are printed in `run`, all in the same form.
      .configureOutput({ outputError: () => {} })
      .exitOverride()
  );
}

/** Runs the command that `argv` names; an error is printed and sets the status that exit-codes.ts gives it. */
export async function run(program: Command, argv: readonly string[] = process.argv): Promise<void> {
  process.stdout.on("error", onOutputError);
  // Nobody reads what is said beside the results: they are worth as much without it.
  process.stderr.off("error", ignore).on("error", ignore);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const told = tellable(error);
    // A bug: whoever reports it needs the stack, which Node prints.
    if (told === null) throw error;
    tell(`${errorText(told)}${whatToDo(told, calledBy(program, argv))}\n`);
    process.exitCode = exitCodesOfErrors[told.code] ?? exitCodes.failed;
  }
}

/** Which command `argv` names, as it is typed: `jobs submit`; empty: none that there is. */
function calledBy(program: Command, argv: readonly string[]): string {
  const words: string[] = [];
  let command: Command | undefined = program;
  for (const word of argv.slice(2)) {
    command = command.commands.find((each) => each.name() === word);
    if (command === undefined) break;
    words.push(word);
  }
  return words.join(" ");
}

function ignore(): void {}

/** A reader that has left, as `head` does, is no error; what else a command wants of its output it says by a listener. */
function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE" && process.stdout.listenerCount("error") === 1) tellUnwritable(error);
}

/** The disk behind standard output is full, say. Once: what is written after it fails as well. */
export function tellUnwritable(error: NodeJS.ErrnoException): void {
  if (process.exitCode !== exitCodes.failed) {
    const message = `standard output cannot be written to (${error.code ?? error.message})`;
    tell(errorText({ code: "option_invalid", message }));
  }
  // The error may come when the command has already set its own.
  process.exitCode = exitCodes.failed;
}

/** The one form of an error on a terminal: `code: message`, on every line of the message. */
export function errorText({ code, message }: Pick<MillraceError, "code" | "message">): string {
  return message
    .split("\n")
    .map((line) => `${code}: ${withoutControls(line)}\n`)
    .join("");
}

function tellable(error: unknown): MillraceError | null {
  if (error instanceof MillraceError) return error;
  if (!(error instanceof CommanderError)) return missingRuntime(error);
  // A bare `millrace`: commander has printed the help, and means that as the error.
  const message =
    error.code === "commander.help"
      ? "name a command"
      : error.message.replace(/^error: /, "").replace("\n", " ");
  return new MillraceError("option_invalid", message, { cause: error });
}
