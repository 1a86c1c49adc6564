import { MillraceError } from "./wire/index.js";

export interface ServerEvent {
  /** `message` where it is not named. */
  readonly type: string;
  readonly data: string;
}

/** Characters of an event that has not ended: far above a job's. */
const jobEventCharactersMax = 4 * 1024 * 1024;

/** Server-sent events, fed with bytes that may be cut anywhere. What has not ended with a blank line when the stream does is none. */
export class ServerEventParser {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  /** The line that has begun, in the pieces in which it came: joined once, so long lines cost linear time. */
  #pieces: string[] = [];
  #type = "";
  #data: string[] = [];
  /** Of the event that has not ended, with the line that has begun. */
  #characters = 0;
  readonly #eventCharactersMax: number;

  constructor(eventCharactersMax: number = jobEventCharactersMax) {
    this.#eventCharactersMax = eventCharactersMax;
  }

  /** Throws `response_invalid` where an event has no end, and where it is not UTF-8. */
  push(bytes: Uint8Array): ServerEvent[] {
    const lines = this.#decode(bytes).split("\n");
    const rest = lines.pop() ?? "";
    const events: ServerEvent[] = [];
    for (const part of lines) {
      this.#characters += part.length;
      const line = [...this.#pieces, part].join("").replace(/\r$/, "");
      this.#pieces = [];
      if (line === "") events.push(...this.#end());
      else this.#take(line);
    }
    if (rest !== "") this.#pieces.push(rest);
    this.#characters += rest.length;
    if (this.#characters > this.#eventCharactersMax) {
      throw new MillraceError("response_invalid", "An event of the reply has no end.");
    }
    return events;
  }

  #decode(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes, { stream: true });
    } catch (cause) {
      throw new MillraceError("response_invalid", "The reply is not UTF-8.", { cause });
    }
  }

  #take(line: string): void {
    const at = line.indexOf(":");
    const [field, value] =
      at === -1 ? [line, ""] : [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
    if (field === "event") this.#type = value;
    if (field === "data") this.#data.push(value);
  }

  #end(): readonly ServerEvent[] {
    const [type, data] = [this.#type === "" ? "message" : this.#type, this.#data];
    this.#type = "";
    this.#data = [];
    this.#characters = 0;
    return data.length === 0 ? [] : [{ type, data: data.join("\n") }];
  }
}
