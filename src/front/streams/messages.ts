/** A message → a JSON object; and the request that it holds → a question. */
import { MillraceError } from "millrace-client/wire";
import { didYouMean } from "../../near-miss.js";
import { inTurns } from "../../work/in-turns.js";
import { parseObject, parseSteps, tensorBody } from "../../work/json-object.js";
import type { Question } from "../ask.js";
import type { FrontParts, FrontTask } from "../front.js";
import { readQuestion } from "../read-question.js";

type Fields = Readonly<Record<string, unknown>>;

/** Longer ones are parsed in turns. */
const atOnceCharactersMax = 64 * 1024;

/** What of a message came, and when. */
export interface Said {
  readonly fields: Fields;
  readonly atMs: number;
  readonly bytes: number;
}

/** Hears the object that a message is, at once where that is short: most messages cost no turn. What is none is refused. */
export function hearObject(
  message: string | Uint8Array,
  hear: (fields: Fields) => void,
  refuse: (error: unknown) => void,
): void | Promise<void> {
  try {
    const fields = objectOf(message);
    if (!(fields instanceof Promise)) hear(fields);
    else return fields.then(hear, refuse);
  } catch (error) {
    refuse(error);
  }
}

/** @throws MillraceError `bad_request` */
function objectOf(message: string | Uint8Array): Fields | Promise<Fields> {
  if (typeof message !== "string") {
    throw new MillraceError("bad_request", "Messages are JSON texts, not bytes.");
  }
  // Of which task it is stands within: all of them may be as large as named tensors are.
  if (message.length <= atOnceCharactersMax) return parseObject(message, tensorBody);
  return inTurns(parseSteps(message, tensorBody));
}

/** Where the message of a request has what is not the task's. */
export interface RequestOf {
  readonly task: FrontTask;
  readonly own: readonly string[];
}

/** @throws MillraceError `bad_request`, `bad_encoding` */
export function questionOf(
  { fields, bytes }: Said,
  { task, own }: RequestOf,
  { options }: Pick<FrontParts, "options">,
): Question {
  const rest = Object.fromEntries(Object.entries(fields).filter(([name]) => !own.includes(name)));
  return readQuestion(rest, { task, options, payloadBytes: bytes });
}

/** @throws MillraceError `bad_request` */
export function taskNamed(name: string | undefined, tasks: readonly FrontTask[]): FrontTask {
  const found = tasks.find((task) => task.name === name);
  if (found !== undefined) return found;
  const known = tasks.map((task) => task.name);
  const message =
    name === undefined
      ? `\`task\` is missing; there are ${known.join(", ")}.`
      : `There is no task ${JSON.stringify(name)}${didYouMean(name, known)}; there are ${known.join(", ")}.`;
  throw new MillraceError("bad_request", message, { param: "task" });
}
