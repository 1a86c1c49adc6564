/** `/v1/stream`: many requests on one connection, each with its id; the messages are those of client/src/wire/stream.ts. */
import {
  errorRegistry,
  MillraceError,
  type StreamAccepted,
  type StreamDone,
  type StreamError,
  type StreamHello,
  streamLimits,
  type WorkClass,
} from "millrace-client/wire";
import type { RouteDoc } from "../../listen/http/http-front.js";
import type { Channel, Hearer, MessageArrival } from "../../listen/websocket/websocket-front.js";
import type { Asker } from "../../work/asker.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { endFailed } from "../../work/failed-span.js";
import { Fields } from "../../work/fields.js";
import { askEach, type Question } from "../ask.js";
import type { FrontParts, FrontTask } from "../front.js";
import { replySummary } from "../reply-summary.js";
import { resultSteps } from "../result-json.js";
import { TextTurns } from "../text-turns.js";
import { hearObject, questionOf, type Said, taskNamed } from "./messages.js";
import { Credit, Running } from "./running.js";

export const streamDoc: RouteDoc = {
  summary:
    "A WebSocket for many requests at once: JSON messages `request`, `cancel`, `credit` and `ping`; answered by `accepted`, `outcome`, `done`, `error` and `pong`.",
  reply: {},
};

export function openStream(channel: Channel, parts: FrontParts): Hearer {
  return new Stream(channel, parts);
}

/** The fields of a request's message that are not those of `POST /v1/<task>`. */
const ownFields = ["type", "id", "task", "credit", "traceparent", "tracestate"];
/** So many outcomes for which credit came are said before others have a turn. */
const turnOutcomes = 128;
const types = ["request", "cancel", "credit", "ping"] as const;

interface Begun {
  readonly running: Running;
  readonly task: FrontTask;
  readonly asker: Asker;
  readonly question: Question;
}

class Stream implements Hearer {
  readonly #channel: Channel;
  readonly #parts: FrontParts;
  /** By the client's id, in the order in which they came. */
  readonly #running = new Map<string, Running>();
  readonly #credit = new Credit(null);
  /** Those for which credit came, in the order of their turns. */
  readonly #due = new Set<Running>();
  #isTurnPlanned = false;
  /** Outcomes that wait for credit. */
  #waiting = 0;
  #requests = 0;

  constructor(channel: Channel, parts: FrontParts) {
    this.#channel = channel;
    this.#parts = parts;
    const left = (): void => {
      for (const running of this.#running.values()) running.cancel(null);
    };
    channel.closed.addEventListener("abort", left, { once: true });
    const hello: StreamHello = { type: "hello", deployment: parts.views.identity };
    channel.say(JSON.stringify(hello));
  }

  onMessage(message: string | Uint8Array, { atMs, bytes }: MessageArrival): void | Promise<void> {
    const hear = (fields: Said["fields"]): void => {
      this.#orRefuse(null, () => this.#hear({ fields, atMs, bytes }));
    };
    return hearObject(message, hear, (error) => this.#refuse(null, error));
  }

  #hear(said: Said): void {
    const fields = new Fields(said.fields);
    switch (fields.choice("type", types)) {
      case "request":
        this.#request(fields, said);
        return;
      case "cancel":
        fields.refuseUnknown(["type", "id"]);
        // One that was answered meanwhile is no mistake.
        this.#running.get(idOf(fields))?.cancel(this.#cancelled(idOf(fields)));
        return;
      case "credit":
        this.#grant(fields);
        return;
      case "ping":
        this.#channel.say('{"type":"pong"}');
        return;
      case undefined: {
        const message = `\`type\` is missing: it is ${types.join(" or ")}.`;
        throw new MillraceError("bad_request", message, { param: "type" });
      }
    }
  }

  #request(fields: Fields, said: Said): void {
    const id = idOf(fields);
    if (this.#running.has(id)) {
      // Without its id: the request that has it goes on.
      const message = `There is a request ${JSON.stringify(id)} that is not answered yet.`;
      throw new MillraceError("bad_request", message, { param: "id" });
    }
    this.#orRefuse(id, () => {
      const begun = this.#begin(id, fields, said);
      this.#running.set(id, begun.running);
      void this.#run(begun);
    });
  }

  #begin(id: string, fields: Fields, said: Said): Begun {
    this.#refuseWhereFull();
    const { tasks } = this.#parts;
    const task = taskNamed(fields.text("task", 64), tasks);
    const credit = fields.integer("credit", [0, streamLimits.creditMax]) ?? null;
    const question = questionOf(said, { task, own: ownFields }, this.#parts);
    this.#requests += 1;
    const running = new Running(id, new Credit(credit), {
      credit: this.#credit,
      say: (text) => this.#channel.say(text),
      kept: (outcomes, characters) => {
        this.#waiting += outcomes;
        this.#channel.keep(2 * characters);
      },
      hold: () => this.#channel.hold(),
      stallMs: this.#parts.options.replyTimeoutMs,
    });
    const requestId = `${this.#channel.id}/${this.#requests}`;
    const asker: Asker = {
      id: requestId,
      caller: this.#channel.caller,
      span: this.#channel.begin(said.fields, { atMs: said.atMs, id: requestId }),
      arrivedAtMs: said.atMs,
      departed: running.departed,
      workClass: "none",
    };
    return { running, task, asker, question };
  }

  #refuseWhereFull(): void {
    refuseWhileDraining(this.#parts.views);
    const { requestsMax, waitingOutcomesMax } = streamLimits;
    if (this.#running.size >= requestsMax) {
      const message = `This connection has ${requestsMax} requests that are not answered yet.`;
      throw new MillraceError("queue_full", message);
    }
    if (this.#waiting >= waitingOutcomesMax) {
      const message = `${this.#waiting} outcomes wait for credit; grant some first.`;
      throw new MillraceError("queue_full", message);
    }
  }

  /** Never rejects. */
  async #run({ running, task, asker, question }: Begun): Promise<void> {
    const { id } = running;
    const named = `"id":${JSON.stringify(id)}`;
    let last: string;
    using turns = new TextTurns();
    try {
      // It has called submit when it first waits: until then the message's bytes are counted by whoever read them.
      const summary = await askEach(this.#parts, asker, {
        ...question,
        onAccepted: () => {
          const accepted: StreamAccepted = { type: "accepted", id, requestId: asker.id };
          this.#channel.say(JSON.stringify(accepted));
        },
        onOutcome: ({ index, outcome }) => {
          turns.add(resultSteps(outcome, task), (json) => {
            running.outcome(`{"type":"outcome",${named},"index":${index},"outcome":${json}}`);
          });
        },
      });
      await turns.end();
      this.#channel.replied(200, summary.class);
      const done: StreamDone = {
        type: "done",
        id,
        summary: replySummary(asker.id, summary, this.#parts),
      };
      last = JSON.stringify(done);
      asker.span?.end();
    } catch (thrown) {
      last = this.#failure(id, thrown);
      endFailed(asker.span, thrown);
    }
    running.end(last, () => {
      this.#running.delete(id);
      this.#due.delete(running);
    });
  }

  #grant(fields: Fields): void {
    fields.refuseUnknown(["type", "id", "outcomes"]);
    const outcomes = fields.integer("outcomes", [1, streamLimits.creditMax]);
    if (outcomes === undefined) {
      throw new MillraceError("bad_request", "`outcomes` is missing.", { param: "outcomes" });
    }
    if (fields.value("id") === undefined) {
      this.#credit.grant(outcomes);
      for (const running of this.#running.values()) this.#due.add(running);
      this.#takeTurn();
      return;
    }
    const running = this.#running.get(idOf(fields));
    // One that was answered meanwhile is no mistake; and one that has all it wants is not bound by more.
    if (running === undefined || !running.credit.isBound) return;
    running.credit.grant(outcomes);
    this.#due.add(running);
    this.#takeTurn();
  }

  /** An outcome of each in turn: a long request leaves credit for the short one behind it. */
  #takeTurn(): void {
    if (this.#isTurnPlanned) return;
    let left = turnOutcomes;
    for (const running of this.#due) {
      if (left === 0) break;
      left -= 1;
      this.#due.delete(running);
      if (running.pump()) this.#due.add(running);
    }
    if (this.#due.size === 0) return;
    this.#isTurnPlanned = true;
    setImmediate(() => {
      this.#isTurnPlanned = false;
      this.#takeTurn();
    });
  }

  #orRefuse(id: string | null, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#refuse(id, error);
    }
  }

  #refuse(id: string | null, thrown: unknown): void {
    this.#channel.say(this.#failure(id, thrown));
  }

  /** The message, counted. */
  #failure(id: string | null, thrown: unknown): string {
    const error = this.#channel.told(thrown);
    const workClass: WorkClass | "none" = "none";
    this.#channel.replied(errorRegistry[error.code].status ?? 500, workClass);
    return errorText(id, error);
  }

  #cancelled(id: string): string {
    return errorText(id, new MillraceError("cancelled", "The caller wants no more of it."));
  }
}

function errorText(id: string | null, error: MillraceError): string {
  const { retryAfterMs } = error;
  const message: StreamError = {
    type: "error",
    ...(id === null ? {} : { id }),
    error: error.toWire(),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  return JSON.stringify(message);
}

/** @throws MillraceError `bad_request` */
function idOf(fields: Fields): string {
  const id = fields.text("id", streamLimits.idCharactersMax);
  if (id !== undefined) return id;
  throw new MillraceError("bad_request", "`id` is missing.", { param: "id" });
}
