/** What an engine says of itself on the server's side: the file manifest-ENGINE.ts exports one, engine-table.ts has all. */
import type { ModelInfo } from "millrace-client/wire";
import type { z } from "zod";

export interface EngineDefinition<Manifest> {
  readonly schema: z.ZodType<Manifest>;
  /** Throws `model_folder_invalid` where fields contradict each other. */
  readonly check: (manifest: Manifest) => void;
  /** As the scheduler has it: fed whenever rows are free, or a batch at a time. */
  readonly mode: "continuous" | "one-shot";
  /** What a request gets that sets nothing by itself, by the names of the request's fields. */
  readonly settings: (manifest: Manifest) => Readonly<Record<string, number>>;
  readonly limits: (manifest: Manifest) => ModelInfo["limits"];
  /** What `millrace inspect` says beside what it says of every model. */
  readonly facts: (manifest: Manifest) => readonly (readonly [label: string, value: string])[];
}
