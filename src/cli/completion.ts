/** `millrace completion SHELL`: a script for the shell, made of the commands as commander knows them. */
import { Argument, type Command, type Option } from "commander";
import { isOptionKey, optionTable } from "../options/table.js";
import { printText } from "./print.js";

const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

const examples = `
Examples:
  $ millrace completion bash > ~/.local/share/bash-completion/completions/millrace
  $ millrace completion zsh > ~/.zfunc/_millrace          a folder of $fpath, before compinit
  $ millrace completion fish > ~/.config/fish/completions/millrace.fish
`;

export function registerCompletion(program: Command): void {
  program
    .command("completion")
    .summary("print the completion of this command for a shell")
    .description("Print a script that completes commands, flags, choices and paths of `millrace`.")
    .addArgument(new Argument("<shell>").choices(shells))
    .addHelpText("after", examples)
    .action((shell: Shell) => {
      printText(completionText(program, shell));
    });
}

export function completionText(program: Command, shell: Shell): string {
  const nodes = nodesOf(program, "");
  if (shell === "fish") return fishText(nodes);
  const text = bashText(nodes);
  if (shell === "bash") return `${text}complete -o default -F _millrace millrace\n`;
  // zsh runs bash's functions, whose words count from 0 there.
  return [
    "#compdef millrace",
    "autoload -U +X bashcompinit && bashcompinit",
    text,
    "complete -o default -F _millrace millrace\n",
  ].join("\n");
}

/** A command, or a command of a command; the program itself has no path. */
interface Node {
  /** `jobs submit` */
  readonly path: string;
  readonly summary: string;
  readonly commands: readonly Node[];
  readonly flags: readonly Flag[];
  /** Of its first argument; empty: anything. */
  readonly choices: readonly string[];
}

interface Flag {
  readonly long: string;
  readonly help: string;
  readonly takesValue: boolean;
  /** Empty: anything; what is a path is completed by the shell itself. */
  readonly choices: readonly string[];
  readonly isPath: boolean;
}

function nodesOf(command: Command, path: string): Node {
  const help = command.createHelp();
  const commands = help
    .visibleCommands(command)
    .map((each) => nodesOf(each, path === "" ? each.name() : `${path} ${each.name()}`));
  const flags = help.visibleOptions(command).flatMap(flagsOf);
  const choices = command.registeredArguments[0]?.argChoices ?? [];
  return { path, summary: command.summary() || command.description(), commands, flags, choices };
}

function flagsOf(option: Option): Flag[] {
  if (option.long === undefined || option.long === null) return [];
  const takesValue = option.required || option.optional;
  const key = option.attributeName();
  const definition = isOptionKey(key) ? optionTable[key] : null;
  const choices = option.argChoices ?? (definition?.type === "choice" ? definition.choices : []);
  const isPath = /<(?:file|folder|dir)>/.test(option.flags);
  const { long, description: help } = option;
  return [{ long, help, takesValue, choices: choices.map(String), isPath }];
}

function allOf(node: Node): Node[] {
  return [node, ...node.commands.flatMap(allOf)];
}

/**
 * The words before the cursor say which command it is; the one before it whether a value is wanted. What is left without an
 * answer is a file's name, which `-o default` completes.
 */
function bashText(root: Node): string {
  const nodes = allOf(root);
  const steps = nodes.flatMap(({ path, commands }) =>
    commands.map(
      (each) =>
        `      ${quoted(`${path}/${each.path.split(" ").at(-1)}`)}) path=${quoted(each.path)} ;;`,
    ),
  );
  const values = nodes.flatMap(({ path, flags }) =>
    flags
      .filter(({ takesValue }) => takesValue)
      .map(({ long, choices }) => {
        const reply = choices.length === 0 ? "" : `_millrace_words ${quoted(choices.join(" "))}; `;
        return `    ${quoted(`${path}/${long}`)}) ${reply}return ;;`;
      }),
  );
  const words = nodes.map(({ path, commands, flags, choices }) => {
    const names = [...commands.map((each) => each.path.split(" ").at(-1)), ...choices].join(" ");
    const long = flags.map((each) => each.long).join(" ");
    return `    ${quoted(path)}) names=${quoted(names)} flags=${quoted(long)} ;;`;
  });
  return `# Made by \`millrace completion\`.
_millrace_words() {
  COMPREPLY=($(compgen -W "$1" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
_millrace() {
  local path="" names="" flags="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path/\${COMP_WORDS[i]}" in
${steps.join("\n")}
    esac
  done
  case "$path/\${COMP_WORDS[COMP_CWORD-1]}" in
${values.join("\n")}
  esac
  case "$path" in
${words.join("\n")}
  esac
  case "\${COMP_WORDS[COMP_CWORD]}" in
    -*) _millrace_words "$flags" ;;
    *) _millrace_words "$names" ;;
  esac
}
`;
}

function fishText(root: Node): string {
  const lines = [
    "# Made by `millrace completion`.",
    // Which word the command is: `jobs status` is not `status`.
    "function __millrace_at",
    "  set -l words (commandline -opc | string match -v -- '-*')",
    '  test "$words[$argv[1]]" = $argv[2]',
    "end",
  ];
  for (const node of allOf(root)) {
    const words = node.path.split(" ").filter((word) => word !== "");
    const seen = words.map((word, at) => `__millrace_at ${at + 2} ${word}`);
    const inner = node.commands.map((each) => each.path.split(" ").at(-1) ?? "");
    const none = inner.length === 0 ? [] : [`not __fish_seen_subcommand_from ${inner.join(" ")}`];
    const when = [...seen, ...none].join("; and ");
    const condition = when === "" ? "" : ` -n ${quoted(when)}`;
    for (const each of node.commands) {
      const name = each.path.split(" ").at(-1) ?? "";
      lines.push(`complete -c millrace -f${condition} -a ${name} -d ${quoted(each.summary)}`);
    }
    if (node.choices.length > 0) {
      lines.push(`complete -c millrace -f${condition} -a ${quoted(node.choices.join(" "))}`);
    }
    for (const flag of node.flags) lines.push(fishFlag(flag, condition));
  }
  return `${lines.join("\n")}\n`;
}

function fishFlag({ long, help, takesValue, choices, isPath }: Flag, condition: string): string {
  const value = !takesValue ? "" : isPath ? " -r -F" : " -x";
  const list = choices.length === 0 ? "" : ` -a ${quoted(choices.join(" "))}`;
  return `complete -c millrace${condition} -l ${long.slice(2)}${value}${list} -d ${quoted(help)}`;
}

/** For each of the three shells. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "’")}'`;
}
