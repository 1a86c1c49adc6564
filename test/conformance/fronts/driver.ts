/**
 * READ FIRST. What a front must bring to be held to the one list that all fronts are held to (suite.ts).
 *
 * To add a front, write two files beside this one:
 *
 *   <front>.driver.ts   exports a `FrontDriver`: its task, what makes the server speak it, its client, and for each case of
 *                       the list how the protocol maps it, or why it cannot say such a thing
 *   <front>.test.ts     holdToTheList(theDriver);
 *
 * then build and run `node scripts/docs.js`: docs/fronts.md is made of the drivers.
 *
 * The suite serves small real models in two real processes (world.ts): `vectors` (embed), `words` (translate) or `table`
 * (infer), and one that is nobody's question. A driver asks its own; names of models, texts and expected values come from the suite, never from a
 * driver. Use the protocol's own client where there is one, and never Millrace's. A client is one connection, or as near to
 * that as the real client comes; the suite opens hundreds of them, so it should cost little.
 *
 * A refusal is thrown as `Refused`, whose `says` is what a program of that protocol would look at: "404", "NOT_FOUND",
 * "RateLimitError". Where an input failed alone, its outcome is `{ error: says }`.
 *
 * `how` and `cannot` are what users read in docs/fronts.md: one sentence without a full stop.
 */
import type { CreateServerOptions, MillraceServer } from "#src/index.js";

/** What is asked for, and what is answered, by task. */
export interface Tasks {
  /** A text of the made encoder's words; its vector. */
  readonly embed: { readonly input: string; readonly value: readonly number[] };
  readonly translate: { readonly input: string; readonly value: string };
  /** A row of two places; what the table has there. The rows of a call are one INT64 tensor `at` [n, 2] → FP32 `found` [n, 2]. */
  readonly infer: { readonly input: readonly number[]; readonly value: readonly number[] };
}
export type TaskName = keyof Tasks;

export const modelOf: Readonly<Record<TaskName, string>> = {
  embed: "vectors",
  translate: "words",
  infer: "table",
};

export type Outcome<Task extends TaskName> = Tasks[Task]["value"] | { readonly error: string };

/** The whole request came to nothing. */
export class Refused extends Error {
  override readonly name = "Refused";
  /** What a program of that protocol looks at. */
  readonly says: string;

  constructor(says: string, message: string) {
    super(message);
    this.says = says;
  }
}

export interface FrontClient<Task extends TaskName> extends AsyncDisposable {
  /** One request with all inputs; one outcome for each, in their order. @throws Refused */
  ask(
    inputs: readonly Tasks[Task]["input"][],
    options?: AskOptions,
  ): Promise<readonly Outcome<Task>[]>;
  /** Sends what is no request on the connection of `ask`, and throws as the protocol answers it. @throws Refused */
  malformed?(): Promise<unknown>;
}

export interface AskOptions {
  /** Default: the model of the task (`modelOf`). Ignored by a protocol that names none. */
  readonly model?: string;
  /** Ignored by a protocol that knows none. */
  readonly timeoutMs?: number;
  /** The caller goes away, as its clients go: the socket is closed. How `ask` ends then is nobody's business. */
  readonly leave?: AbortSignal;
  /** The caller cancels this request in the protocol's words and stays connected. */
  readonly cancel?: AbortSignal;
}

export type Cell<More = unknown> = ({ readonly how: string } & More) | { readonly cannot: string };

/** `says` as in `Refused`, or of the outcomes of inputs that fail alone. */
interface Says {
  readonly says: string;
}
/** Whether the others of the same request have their answers. */
interface Fails extends Says {
  readonly fails: "alone" | "together";
}

/** Every case must have its answer. */
export interface Cells {
  /** Equal to the native route's, to the last bit of each float32. */
  readonly numbers: Cell;
  /** Answers in the order of the inputs. */
  readonly order: Cell;
  /** One bad input among good ones. */
  readonly badInput: Cell<Fails>;
  readonly tooLong: Cell<Fails>;
  /** A model that is not there. */
  readonly unknownModel: Cell<Says>;
  /** What is no request; then a good one on the same connection. */
  readonly malformed: Cell<Says>;
  /** Two hundred callers at once, each with its own connection. */
  readonly manyCallers: Cell;
  /** Inputs of several callers in one batch. */
  readonly company: Cell;
  /** A pipeline is killed with the work in it. */
  readonly killed: Cell;
  /** The caller leaves: nothing of theirs runs any more. */
  readonly callerGone: Cell;
  /** The caller cancels, stays, and asks again. */
  readonly cancel: Cell;
  readonly queueFull: Cell<Says>;
  /** `by`: who says how long; the server where the protocol cannot. */
  readonly deadline: Cell<Fails & { readonly by: "caller" | "server" }>;
  readonly notReady: Cell<Says>;
  /** Of new work, while what was taken is finished. */
  readonly draining: Cell<Says>;
  /** No key, where keys are asked for; and with one it works. */
  readonly unauthenticated: Cell<Says>;
}

/** What docs/fronts.md tells of a front. */
export interface FrontPage {
  /** As a heading: `Native HTTP, JSON`. */
  readonly title: string;
  /** The client that speaks in the tests: `openai 6 (npm)`. */
  readonly client: string;
  readonly cells: Cells;
}

export interface FrontDriver<Task extends TaskName> extends FrontPage {
  readonly task: Task;
  /** Over those of the suite: ports of its own (0 wherever possible), sections, a model that is meant. */
  readonly options?: CreateServerOptions;
  /** Settings of the native request that answers alike, where the protocol's are not the native defaults. */
  readonly nativeFields?: Readonly<Record<string, unknown>>;
  /** Connects. `key`: null where nobody is asked for one. */
  open(
    server: MillraceServer,
    options: { readonly key: string | null },
  ): Promise<FrontClient<Task>>;
}
