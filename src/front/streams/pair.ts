/**
 * `/feed` and `/rev`: a request in each message to the first; its reply on the same connection, and on those to the second that
 * have the same session. With keys a session is its caller's: two of them may give theirs the same name.
 *
 *   /feed?session=s ─► request ─► reply ─┬─► the same connection
 *                                        └─► every /rev?session=s
 */
import { errorRegistry, MillraceError, streamLimits } from "millrace-client/wire";
import type { RouteDoc } from "../../listen/http/http-front.js";
import type {
  Channel,
  Endpoint,
  Hearer,
  MessageArrival,
} from "../../listen/websocket/websocket-front.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { endFailed } from "../../work/failed-span.js";
import { badField, Fields } from "../../work/fields.js";
import type { FrontParts, FrontTask } from "../front.js";
import { replySummary } from "../reply-summary.js";
import { resultsJson } from "../results-json.js";
import { hearObject, questionOf, type Said, taskNamed } from "./messages.js";
import { PairSession } from "./pair-session.js";

const sessionCharactersMax = 64;
/** The fields of a message that are not those of `POST /v1/<task>`. */
const ownFields = ["id", "task", "traceparent", "tracestate"];
/** What the first clients of the pair asked for, who named no task. */
const usualTask = "translate";

type Id = string | number | null;

export class Pairs {
  static readonly docs: Readonly<Record<string, RouteDoc>> = {
    "/feed": {
      summary:
        "A WebSocket: a request in each message, one reply each; with `?session=` on the connections to `/rev` of that session too.",
      reply: {},
    },
    "/rev": {
      summary:
        "A WebSocket: the replies to what was asked on the connections to `/feed` of its `?session=`.",
      reply: {},
    },
  };
  readonly endpoints: readonly Endpoint[];
  readonly #sessions = new Map<string, PairSession>();

  constructor(parts: FrontParts) {
    this.endpoints = [
      {
        path: "/feed",
        check: (query) => void sessionOf(query),
        open: (channel) => new Feed(channel, this.#join(channel, "feed"), parts),
      },
      {
        path: "/rev",
        check: (query) => {
          if (sessionOf(query) !== null) return;
          throw new MillraceError("bad_request", "`session` is missing.", { param: "session" });
        },
        open: (channel) => {
          this.#join(channel, "rev");
          return new Rev(channel);
        },
      },
    ];
  }

  #join(channel: Channel, as: "feed" | "rev"): PairSession {
    const name = sessionOf(channel.query);
    if (name === null) return new PairSession(channel, as);
    const { caller } = channel;
    const key = JSON.stringify([caller.key, caller.keyId, name]);
    const session = this.#sessions.get(key) ?? new PairSession();
    this.#sessions.set(key, session);
    session.join(channel, as);
    const left = (): void => {
      if (session.isEmpty) this.#sessions.delete(key);
    };
    channel.closed.addEventListener("abort", left, { once: true });
    return session;
  }
}

class Feed implements Hearer {
  readonly #channel: Channel;
  readonly #session: PairSession;
  readonly #parts: FrontParts;
  #requests = 0;
  #underWay = 0;

  constructor(channel: Channel, session: PairSession, parts: FrontParts) {
    this.#channel = channel;
    this.#session = session;
    this.#parts = parts;
  }

  onMessage(message: string | Uint8Array, { atMs, bytes }: MessageArrival): void | Promise<void> {
    const hear = (fields: Said["fields"]): void => this.#hear({ fields, atMs, bytes });
    return hearObject(message, hear, (error) => this.#refuse(null, error));
  }

  #hear(said: Said): void {
    let id: Id = null;
    try {
      id = idOf(said.fields);
      this.#refuseWhereFull();
      const task = this.#taskOf(new Fields(said.fields));
      void this.#answer(id, task, said);
    } catch (error) {
      this.#refuse(id, error);
    }
  }

  #refuseWhereFull(): void {
    refuseWhileDraining(this.#parts.views);
    const { requestsMax } = streamLimits;
    if (this.#underWay < requestsMax) return;
    const message = `This connection has ${requestsMax} requests that are not answered yet.`;
    throw new MillraceError("queue_full", message);
  }

  #taskOf(fields: Fields): FrontTask {
    const { tasks, views } = this.#parts;
    const model = fields.text("model", 256);
    const named = fields.text("task", 64);
    if (named !== undefined) return taskNamed(named, tasks);
    return taskNamed(views.models().find(({ name }) => name === model)?.task ?? usualTask, tasks);
  }

  /** Never rejects; has called submit when it first waits. */
  async #answer(id: Id, task: FrontTask, said: Said): Promise<void> {
    this.#requests += 1;
    this.#underWay += 1;
    const work = this.#session.begin(this.#channel);
    const requestId = `${this.#channel.id}/${this.#requests}`;
    const asker = {
      id: requestId,
      span: this.#channel.begin(said.fields, { atMs: said.atMs, id: requestId }),
      caller: this.#channel.caller,
      arrivedAtMs: said.atMs,
      departed: work.departed,
      workClass: "none" as const,
    };
    try {
      const question = questionOf(said, { task, own: ownFields }, this.#parts);
      const { results, summary } = await resultsJson(this.#parts, asker, { question, task });
      this.#channel.replied(200, summary.class);
      const { id: _, ...rest } = replySummary(asker.id, summary, this.#parts);
      const head = JSON.stringify({ id, ...rest }).slice(0, -1);
      work.say(`${head},"results":${results}}`);
      asker.span?.end();
    } catch (thrown) {
      work.say(this.#failure(id, thrown));
      endFailed(asker.span, thrown);
    } finally {
      this.#underWay -= 1;
      work.end();
    }
  }

  #refuse(id: Id, thrown: unknown): void {
    this.#channel.say(this.#failure(id, thrown));
  }

  #failure(id: Id, thrown: unknown): string {
    const error = this.#channel.told(thrown);
    this.#channel.replied(errorRegistry[error.code].status ?? 500, "none");
    const deployment = this.#parts.views.identity;
    return JSON.stringify({ id, error: error.toWire(), deployment });
  }
}

/** It only hears what others asked. */
class Rev implements Hearer {
  readonly #channel: Channel;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  onMessage(): void {
    const message = "Requests go to /feed; what is said here is not heard.";
    const error = this.#channel.told(new MillraceError("bad_request", message));
    this.#channel.say(JSON.stringify({ id: null, error: error.toWire() }));
  }
}

/** @throws MillraceError `bad_request` */
function idOf(fields: Said["fields"]): Id {
  const id = fields["id"];
  if (typeof id === "number" && Number.isSafeInteger(id)) return id;
  const text = new Fields({ id: id ?? "" }).text("id", streamLimits.idCharactersMax);
  if (text === undefined) throw badField("id", "is missing");
  return text;
}

/** @throws MillraceError `bad_request` */
function sessionOf(query: URLSearchParams): string | null {
  const session = query.get("session");
  if (session === null) return null;
  return new Fields({ session }).text("session", sessionCharactersMax) ?? null;
}
