/** What one implementation of `Submit` has to give the suite of all: itself, over real processes that run the numbers task. */
import type { Submit, SubmitRequest } from "#src/submit/submit.js";
import type { FakeModel } from "../../support/pool.js";

export interface SubmitDriver {
  readonly name: string;
  /** Why it cannot be tried here, or false. */
  readonly skip: string | false;
  open(options: OpenOptions): Promise<OpenSubmit>;
}

export interface OpenOptions {
  readonly model: FakeModel;
  readonly queuedItemsMax?: number;
}

export interface OpenSubmit extends AsyncDisposable {
  readonly submit: Submit;
  /** As whoever runs the items got them; fields and signals of the last one may be looked at. */
  readonly seen: readonly { readonly request: SubmitRequest; readonly signal: AbortSignal }[];
  /** What runs items and holds them: nothing is left when it resolves. */
  nothingHeld(): Promise<void>;
  /** No new requests from now on. */
  refuseNew(): void;
}
