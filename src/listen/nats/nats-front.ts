/** What the listener and the front over NATS know of each other. A front gets a whole message, and says others; it never sees NATS. */
import type { MillraceError } from "millrace-client/wire";
import type { TailWriter } from "../../frames/tail.js";
import type { Asker } from "../../work/asker.js";
import type { JsonObject } from "../../work/payload.js";

export interface NatsFront {
  readonly name: string;
  /** Whatever it throws is handed to `fail`. */
  handle(request: NatsRequest): Promise<void>;
  /** Tells an error in the protocol's words. */
  fail(request: Pick<NatsRequest, "say">, error: MillraceError): void;
}

export interface NatsRequest {
  readonly head: JsonObject;
  readonly tail: Uint8Array;
  readonly bytes: number;
  /** Aborts when whoever asked has left, or is not heard of any more. */
  readonly asker: Asker;
  /** From now on the message is not counted any more: somebody else counts what it became. Again: nothing. */
  release(): void;
  /** In the order of the calls. Waits for nobody: what is not taken is kept, in budget. */
  say(head: string, tail?: TailWriter): void;
}
