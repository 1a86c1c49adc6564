/**
 * Frames of bert-as-service 1.10 over ZeroMQ.
 *
 *   in    [identity, texts as JSON or a command, request id, number of texts]
 *   out   [identity, {"dtype", "shape", "tokens"} as JSON, row after row in float32, request id]      vectors
 *         [identity, JSON, request id]                                                                config and status
 *
 * There is no frame for an error, and a client waits for ever by default. But it makes an array of the `dtype` that it is told, and one
 * that is a sentence raises `TypeError: data type '<sentence>' not understood` there; of a config it compares `server_version`,
 * and says what that is.
 */
import { MillraceError } from "millrace-client/wire";
import type { ZmqFront, ZmqMessage } from "../../listen/zmq/zmq-front.js";
import { type BodyShape, parseJson } from "../../work/json-object.js";
import type { JsonObject } from "../../work/payload.js";
import { replyDropped } from "../reply-dropped.js";
import { utf8Text } from "../utf8-text.js";
import { type Encoded, readBertTexts } from "./encode.js";
import type { BertParts } from "./shared-parts.js";

const commands = ["SHOW_CONFIG", "SHOW_STATUS", "TERMINATION"] as const;
type Command = (typeof commands)[number];

/** Where an identity ends that begins with a key. */
const keyEnd = ".";
const keyBeginningBytes = 3 + 22;
const identityBytesMax = 1_024;
const errorCharactersMax = 400;

export class BertWire implements ZmqFront {
  readonly name = "bert-as-service";
  readonly takes = "pull";
  /** Of four; of some more somebody can still be told. */
  readonly framesMax = 16;
  readonly port: number;
  readonly portOut: number;
  readonly #shared: BertParts;

  constructor(shared: BertParts, at: { readonly port: number; readonly portOut: number }) {
    this.#shared = shared;
    this.port = at.port;
    this.portOut = at.portOut;
  }

  /**
   * Nobody's replies begin with what names another key, or none; who comes without a key is told so. What could be the
   * beginning of a key is granted to who has it only.
   */
  grantsOf(subscription: string, isKey: (credential: string) => boolean): readonly string[] {
    const [credential = ""] = subscription.split(keyEnd, 1);
    const isWhole = subscription.includes(keyEnd) || !couldBeginKey(credential);
    return isWhole || isKey(credential) ? [subscription] : [];
  }

  async handle(message: ZmqMessage): Promise<void> {
    const { identity, content, requestId } = readFrames(message);
    const { statistic, status, encoder } = this.#shared;
    const client = identity.toString();
    const caller = message.callerOf(client.split(keyEnd, 1)[0] ?? null);
    const command = commandOf(content);
    if (command === "TERMINATION") {
      this.#terminate(message, caller.isAdmin);
      return;
    }
    if (command !== null) {
      statistic.asked(client);
      const told =
        command === "SHOW_CONFIG" ? status.config(client, caller) : status.status(client, caller);
      message.publish(identity, [identity, JSON.stringify(told), requestId], {
        audience: "newcomers",
      });
      return;
    }
    const texts = readBertTexts(jsonOf(content), message.bytes);
    statistic.encoded(client, texts.list.length);
    const asker = message.begin(identity, caller);
    const encoded = await encoder.encode(asker, texts);
    const instead = [identity, ...errorFrames(replyDropped), requestId];
    message.publish(identity, [identity, ...vectorFrames(encoded), requestId], { instead });
  }

  fail(message: ZmqMessage, error: MillraceError): void {
    const [identity, content, requestId] = message.frames;
    if (identity === undefined || identity.length === 0 || identity.length > identityBytesMax) {
      message.drop("malformed");
      return;
    }
    const told = sentenceOf(error);
    const id = requestId !== undefined && isDigits(requestId) ? requestId : "0";
    if (content !== undefined && commandOf(content) !== null) {
      const config: JsonObject = { server_version: told, error: told };
      message.publish(identity, [identity, JSON.stringify(config), id], { audience: "newcomers" });
      return;
    }
    message.publish(identity, [identity, ...errorFrames(error), id]);
  }

  #terminate(message: ZmqMessage, isAdmin: boolean): void {
    const { options, terminate } = this.#shared.parts;
    // Nobody waits for an answer to it.
    if (options.bertTerminate && isAdmin) terminate?.();
    else message.drop("refused");
  }
}

interface Frames {
  readonly identity: Buffer;
  readonly content: Buffer;
  readonly requestId: Buffer;
}

/** @throws MillraceError `bad_request` */
function readFrames({ frames }: ZmqMessage): Frames {
  const [identity, content, requestId, length] = frames;
  const isWhole = identity !== undefined && content !== undefined && requestId !== undefined;
  if (!isWhole || length === undefined || frames.length !== 4) {
    throw badFrames(`a request has 4 frames; this message has ${frames.length}`);
  }
  if (identity.length === 0 || identity.length > identityBytesMax) {
    throw badFrames(`an identity has 1 to ${identityBytesMax} bytes`);
  }
  if (!isDigits(requestId) || !isDigits(length)) {
    throw badFrames("the request id and the number of texts are digits");
  }
  return { identity, content, requestId };
}

function badFrames(message: string): MillraceError {
  return new MillraceError("bad_request", message);
}

function isDigits(frame: Buffer): boolean {
  return frame.length <= 20 && /^\d+$/.test(frame.toString("latin1"));
}

/** So much of one that nobody finds it by trying is no beginning that strangers could know. */
function couldBeginKey(text: string): boolean {
  return "mr_".startsWith(text.slice(0, 3)) && text.length < keyBeginningBytes;
}

function commandOf(content: Buffer): Command | null {
  if (content.length > 16) return null;
  const text = content.toString("latin1");
  return commands.find((each) => each === text) ?? null;
}

/** A text, a list of them, or of lists of their tokens. */
const listsOfTexts: BodyShape = { depthMax: 4, keysMax: 16, listsMax: 131_072, keepsDigits: false };

/** @throws MillraceError `bad_encoding`, `bad_request` */
function jsonOf(content: Buffer): unknown {
  const text = utf8Text(content, "the message");
  try {
    return parseJson(text, listsOfTexts);
  } catch (cause) {
    const known = commands.slice(0, 2).join(" and ");
    const message = `the message is neither a JSON list of texts nor a command that is known (${known})`;
    throw new MillraceError("bad_request", message, { cause });
  }
}

function vectorFrames({ data, shape, tokens }: Encoded): [string, Buffer] {
  const info = JSON.stringify({ dtype: "float32", shape, tokens: tokens ?? "" });
  return [info, Buffer.from(data.buffer, data.byteOffset, data.byteLength)];
}

function errorFrames(error: MillraceError): [string, string] {
  return [JSON.stringify({ dtype: sentenceOf(error), shape: [0], tokens: "" }), ""];
}

/** What NumPy takes for the name of one type that it does not know: a comma would make it several. */
function sentenceOf({ code, message }: MillraceError): string {
  const plain = message.replaceAll(",", ";").replace(/[^\x20-\x7e]+/g, " ");
  return `${code}: ${plain}`.slice(0, errorCharactersMax);
}
