/**
 * Between the listener for HTTP and whoever takes its connections over when a request asks for another protocol on them. Both
 * have the same places for connections, the same budgets and the same turns.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Caller } from "../work/caller.js";
import type { BodyBudget } from "./body-budget.js";
import type { ReplyBudget } from "./reply-budget.js";
import type { Rounds } from "./rounds.js";

/** A request that passed every check of HTTP's. From `accept` on its connection is the other's. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  /** What came behind the head of the request. */
  readonly head: Buffer;
  readonly id: string;
  readonly caller: Caller;
  /** As the route has it. */
  readonly path: string;
  /** Who answers: for the head of the reply. */
  readonly headers: Readonly<Record<string, string>>;
  readonly bodies: BodyBudget;
  readonly replies: ReplyBudget;
  readonly reads: Rounds;
}

export interface Upgrades {
  /** Of a request whose client cannot set the usual headers; null: it has none. */
  credentialOf(request: IncomingMessage): string | null;
  /** @throws MillraceError where the request is refused; it is answered over HTTP then. */
  check(request: IncomingMessage, path: string): void;
  /** Comes after `check`. The connection has its place until it is closed. */
  accept(upgrade: Upgrade): void;
  /** Others wait for a place: closes the connection that has idled longest, if any, and gives it. */
  closeIdle(): Socket | null;
  /** Each is closed when what came on it is answered. */
  drain(): void;
  close(): void;
}
