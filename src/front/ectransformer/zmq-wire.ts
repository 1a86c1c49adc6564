/** The wire of ECTrans: REQ or DEALER in, one text back at once, and parts on SUB; ectransformer.ts has the messages. */
import type { MillraceError, RequestTimings, WireError } from "millrace-client/wire";
import type { ZmqFront, ZmqMessage } from "../../listen/zmq/zmq-front.js";
import type { Asker } from "../../work/asker.js";
import { askEach } from "../ask.js";
import type { FrontParts } from "../front.js";
import { replyDropped } from "../reply-dropped.js";
import { type Part, Parts } from "./parts.js";
import {
  awaitedOf,
  type EctransTask,
  grantsOfSubscription,
  parseMessage,
  peekMessage,
  readTask,
  type TaskName,
  taskNameOf,
  topicOfSubscription,
} from "./read-task.js";
import { TaskOrder, type Turn } from "./task-order.js";

const task = "translate";
const taken = "OK";
const errorCharactersMax = 400;
/** Results of one part: half of what ECTrans packs into a batch. */
const partInputs = 32;
/** Whoever subscribes to this reads how long tasks took. */
const timesTopic = '{"utime":';

/** A message from its reading on, until all is said about it. */
class OpenTask {
  isAnswered = false;
  asker: Asker | null = null;
  /** Null where nobody can know what to subscribe to. */
  parts: Parts | null = null;
  turn: Turn | null = null;
}

export class EctransWire implements ZmqFront {
  readonly name = "ectransformer";
  readonly takes = "router";
  /** Of one; of some more somebody can still be told. */
  readonly framesMax = 16;
  readonly port: number;
  readonly portOut: number;
  readonly #parts: FrontParts;
  readonly #order: TaskOrder;
  readonly #open = new WeakMap<ZmqMessage, OpenTask>();

  constructor(parts: FrontParts, at: { readonly port: number; readonly portOut: number }) {
    this.#parts = parts;
    this.port = at.port;
    this.portOut = at.portOut;
    this.#order = new TaskOrder(parts.options.zmqRepliesBytesMax);
  }

  topicOf(subscription: string): string {
    return topicOfSubscription(subscription);
  }

  grantsOf(subscription: string): readonly string[] {
    return subscription === timesTopic ? [subscription] : grantsOfSubscription(subscription);
  }

  async handle(message: ZmqMessage): Promise<void> {
    const open = new OpenTask();
    this.#open.set(message, open);
    try {
      const read = parseMessage(message.frames);
      const name = this.#expect(message, read, open);
      await this.#translate(message, { asked: readTask(read, name), open });
      open.turn?.end();
    } catch (error) {
      // Nobody is told, so nobody else ends it.
      if (open.asker?.departed.aborted === true) open.turn?.end();
      throw error;
    }
  }

  /** Who waits for results has them all, empty ones; the reply says why. */
  fail(message: ZmqMessage, error: MillraceError): void {
    const known = this.#open.get(message);
    const open = known ?? new OpenTask();
    if (known === undefined) this.#expect(message, peekMessage(message.frames), open);
    if (!open.isAnswered) message.reply([sentenceOf(error)]);
    open.isAnswered = true;
    open.parts?.fail(error.toWire());
    open.turn?.end();
  }

  /** What its client waits for, even where it is no task. */
  #expect(
    message: ZmqMessage,
    read: Readonly<Record<string, unknown>>,
    open: OpenTask,
  ): TaskName | null {
    const name = taskNameOf(read);
    if (name === null) return null;
    const turn = this.#order.begin(name.topic);
    open.turn = turn;
    // Each result takes three bytes of a message at least.
    const count = Math.min(awaitedOf(read), message.bytes / 3);
    const size = name.parts === "one" ? Math.max(1, count) : partInputs;
    const publish = (part: Part): void => {
      const frames = framesOf(name, part);
      const empty = { ...part, result: part.result.map(() => ""), error: replyDropped.toWire() };
      const instead = framesOf(name, empty);
      const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
      turn.say(bytes, () => {
        for (const [at, frame] of frames.entries()) {
          const light = instead[at] ?? frame;
          const options = light.length < frame.length ? { instead: [light] } : {};
          message.publish(topicBytes(name.topic), [frame], options);
        }
      });
    };
    open.parts = new Parts({ count: Math.floor(count), size, publish });
    return name;
  }

  async #translate(
    message: ZmqMessage,
    { asked, open }: { readonly asked: EctransTask; readonly open: OpenTask },
  ): Promise<void> {
    const { options } = this.#parts;
    const { kind, list, name } = asked;
    const caller = message.callerOf(asked.key);
    const asker = message.begin(topicBytes(name.topic), caller);
    open.asker = asker;
    const summary = await askEach(this.#parts, asker, {
      task,
      model: asked.model ?? options.ectransModel,
      fields: { [kind]: list, ...(kind === "tokenIds" ? { padded: true } : {}) },
      payloadBytes: message.bytes,
      onAccepted: () => {
        open.isAnswered = true;
        message.reply([taken]);
      },
      onOutcome: ({ index, outcome }) => open.parts?.add(index, outcome),
    });
    message.offer(Buffer.from(timesTopic), [timesFrame(summary.timings)]);
  }
}

/** Both ways in which clients subscribe; each reads the one that it knows. */
function framesOf({ id, parts }: TaskName, { place, result, errors, error }: Part): Buffer[] {
  const rest = {
    result,
    ...(errors.length === 0 ? {} : { errors }),
    ...(error === null ? {} : { error: error satisfies WireError }),
  };
  const messages =
    parts === "many"
      ? [{ client_id: `${id}_${place}`, ...rest }]
      : [
          { id, ...rest },
          { client_id: id, ...rest },
        ];
  return messages.map((each) => Buffer.from(JSON.stringify(each)));
}

/** There they are how long the encoder and the decoder took for a batch; here, preparing and computing a task. */
function timesFrame({ prepareMs, computeMs }: RequestTimings): string {
  return JSON.stringify({ utime: [prepareMs, computeMs] });
}

function topicBytes(topic: string): Buffer {
  return Buffer.from(topic);
}

function sentenceOf({ code, message }: MillraceError): string {
  return `${code}: ${message}`.slice(0, errorCharactersMax);
}
