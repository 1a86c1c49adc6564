/**
 * READ FIRST. What a task is to everybody else: what a model is for, hence the shape of its requests and of its results. A task lives
 * in a folder of its own and in one line of the table (table.ts); nobody but these two knows it by name.
 *
 *   fields ── read ──► inputs, settings ── steps ──► pieces ═══ queue, worker, engine ═══► payloads ── join ──► result
 */
import type { ModelFolder } from "../models/registry.js";
import type { TokenTexts } from "../prepare/text/token-texts.js";
import type { JsonObject, Payload } from "../work/payload.js";
import type { Piece, PrepareStep } from "../work/piece.js";
import type { TaskForm } from "../work/task-form.js";

export interface ReadLimits {
  readonly requestInputsMax: number;
}

/** What a caller asked for. Plain data: it may travel to a thread or to another machine. */
export interface TaskRequest<Input = unknown> {
  /** One result for each, in this order; at least one. */
  readonly inputs: readonly Input[];
  /** What the caller named, checked; what it left out is the model's own. */
  readonly settings: JsonObject;
  /** About what the inputs hold in memory, which may be four times what they took as JSON. */
  readonly bytes: number;
}

export interface Task<Input = unknown> extends TaskForm {
  /** As in the route and in a model's manifest. */
  readonly name: string;
  /**
   * Fields of which each is a list with an entry for each input, in their order: a request of many may go to several nodes, some inputs
   * to each (cut-inputs.ts). Left out: a request is not cut.
   */
  readonly inputFields?: readonly string[];
  /**
   * @throws MillraceError `bad_request`, `bad_encoding`, `input_empty`, `too_many_items`, each with the field as `param`.
   * Unknown fields are refused by the one who knows all of them: the caller of this.
   */
  read(fields: Readonly<Record<string, unknown>>, limits: ReadLimits): TaskRequest<Input>;
  /**
   * Of a task that models of other tasks serve beside their own, and none for itself: the task on one of them, or null where that
   * cannot. Nothing of it is run: what it prepares has no pieces, so the model need not be loaded.
   */
  lend?(model: TaskModel): TaskModel<Input> | null;
  /** @throws MillraceError `model_folder_invalid` where the folder cannot be prepared for. */
  open(folder: ModelFolder, limits: PrepareLimits): Promise<TaskModel<Input>>;
}

export interface PrepareLimits {
  /** UTF-16 units of one text. */
  readonly inputCharactersMax: number;
  /** Rows of a model that a pipeline works on at once; null: of each as many as it runs best. Default: null. */
  readonly rowsMax?: number | null;
  /** Pixels of one picture. */
  readonly imagePixelsMax: number;
}

/** A task on one model: its tokenizer, its limits. The same on the event loop and in a thread. */
export interface TaskModel<Input = unknown> {
  /** Of a model that reads text. */
  readonly tokens?: TokenTexts;
  /** See `ModelSteps` in prepare. */
  readonly lent?: ReadonlyMap<string, TaskModel>;
  /** The settings with the model's own where the caller named none; @throws `bad_request` where the model cannot. */
  complete(settings: JsonObject): JsonObject;
  /** About how long preparing takes, in characters of text: much work goes to a thread. Quick, and never throws. */
  weigh(input: Input, settings: JsonObject): number;
  /** See `ModelSteps` in prepare. */
  leastPieces?(input: Input, settings: JsonObject): Iterable<number>;
  /** Pieces, and at last one `end` or one `error`. `index` is the input's place in its request. */
  steps(
    input: Input,
    at: { readonly index: number; readonly settings: JsonObject },
  ): Iterable<PrepareStep>;
  /** Why an engine's answer cannot be used, or null. A bad one fails its item, and nothing else. */
  checkResult(value: Payload, settings: JsonObject): string | null;
  /**
   * Bytes that an answer's result holds, beyond what its piece was counted with: where only the answer tells how large
   * it is. They are counted until the request ends. Of a checked answer.
   */
  furtherBytes?(value: Payload): number;
  /**
   * The result of one input from the checked answers to all its pieces, in their order: values and tensors by the names
   * that they have on the wire.
   */
  join(parts: JoinParts): Payload;
}

export interface JoinParts {
  readonly pieces: readonly Piece[];
  /** Of the input's `end`. */
  readonly note: Extract<PrepareStep, { kind: "end" }>["note"];
  readonly answers: readonly Payload[];
  readonly settings: JsonObject;
}
