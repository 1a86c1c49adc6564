/**
 * What the listener and a front over ZeroMQ know of each other. A front gets the frames of a message, and says frames for
 * whoever subscribed; it never sees a socket.
 */
import type { MillraceError } from "millrace-client/wire";
import type { Asker } from "../../work/asker.js";
import type { Caller } from "../../work/caller.js";
import type { Frame, ReplyOptions } from "./reply-queues.js";

export interface ZmqFront {
  readonly name: string;
  /** Where messages come in, and where subscribers connect; 0 picks a free one. */
  readonly port: number;
  readonly portOut: number;
  /** `pull`: from PUSH. `router`: from REQ and DEALER, whose messages can be answered on the same socket. */
  readonly takes: "pull" | "router";
  /** In one message; what has more is dropped. */
  readonly framesMax: number;
  /** The topic of a subscription, where a protocol has several ways to write one; both as latin1. Default: what it says. */
  topicOf?(subscription: string): string;
  /**
   * Where keys are asked for: what of a subscription its sender may read, all as latin1; empty: nothing. Whoever reads a beginning of
   * others' topics reads what is for them, keys in their topics included.
   */
  grantsOf(subscription: string, isKey: (credential: string) => boolean): readonly string[];
  /** Whatever it throws is handed to `fail`. */
  handle(message: ZmqMessage): void | Promise<void>;
  /** Tells an error in the protocol's words; drops the message where nobody could be told. */
  fail(message: ZmqMessage, error: MillraceError): void;
}

export interface ZmqMessage {
  /** For logs; unique. */
  readonly id: string;
  /** What the client sent, without what ZeroMQ itself puts before it. */
  readonly frames: readonly Buffer[];
  /** Of all frames. */
  readonly bytes: number;
  /** On the clock of `performance.now()`. */
  readonly arrivedAtMs: number;
  /**
   * Of a key as the protocol carries it; null: none came.
   *
   * @throws MillraceError `unauthenticated`
   */
  callerOf(credential: string | null): Caller;
  /**
   * From now on, until `handle` settles, this is a request in flight. `topic` is what its client subscribes to, to the byte;
   * who asks has left when the last subscriber of it is gone, or when none came within `zmqHoldMs`. At most once.
   *
   * @throws MillraceError `draining`, `queue_full`
   */
  begin(topic: Buffer, caller: Caller): Asker;
  /**
   * To all who subscribed to `topic`, in the order of the calls. Waits for nobody: held, in bounds, until the first of them
   * is there. The first frame begins with what they subscribed to. `newcomers`: for the first reply to a client, which may share its
   * topic with others and have subscribed last; those others may get it twice. `instead`: small; see there.
   */
  publish(topic: Buffer, frames: readonly Frame[], options?: ReplyOptions): void;
  /** The same, to those who have subscribed by now; where there are none it is nothing to anybody. */
  offer(topic: Buffer, frames: readonly Frame[]): void;
  /** To who sent the message, where the front takes what can be answered. */
  reply(frames: readonly Frame[]): void;
  /** Counts and logs that there was no answer. The reason is one of few: it is a label of a metric. */
  drop(reason: ZmqDropReason): void;
}

/**
 * `malformed`: frames that are none of the protocol's. `refused`: a command that no option allows. `unclaimed`: nobody
 * subscribed to the reply in time. `departed`: its subscribers left. `slow`: they did not take it in time. `bytes`: more
 * waited than may.
 */
export type ZmqDropReason = "malformed" | "refused" | "unclaimed" | "departed" | "slow" | "bytes";
