/** What the event loop and the prepare thread say to each other. */
import type { JsonObject } from "../../work/payload.js";
import type { Portion } from "../portion.js";

export type ThreadRequest =
  /** Before its first work. `data`: what the thread's module opens it from. */
  | { readonly type: "open"; readonly model: string; readonly data: unknown }
  /** No work of it is left, and none comes. */
  | { readonly type: "forget"; readonly model: string }
  /** Kept, and not begun; `counting`: its pieces are not made, only counted. */
  | {
      readonly type: "start";
      readonly workId: number;
      readonly model: string;
      readonly task?: string;
      readonly inputs: readonly unknown[];
      readonly counting: boolean;
      readonly firstIndex: number;
      readonly settings: JsonObject;
      /** Pieces of the first input that are there already, from a thread that died. */
      readonly skipPieces: number;
    }
  /** A portion, please; `alone`: it ends with the first input that does. */
  | { readonly type: "next"; readonly workId: number; readonly alone: boolean }
  | { readonly type: "drop"; readonly workId: number };

export type ThreadReply =
  | { readonly type: "ready" }
  /** Or it could not be, which its works are told. */
  | { readonly type: "opened"; readonly model: string }
  | {
      readonly type: "portion";
      readonly workId: number;
      readonly portion: Portion;
      /** All inputs that were started have ended. */
      readonly done: boolean;
    }
  /** So many pieces more, at least; `done` as above. */
  | {
      readonly type: "counted";
      readonly workId: number;
      readonly pieces: number;
      readonly done: boolean;
    }
  /** The thread could not open the model. */
  | { readonly type: "refused"; readonly workId: number; readonly reason: string };
