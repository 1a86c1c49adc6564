/** Results that are nothing but numbers as bytes: float32 rows in little-endian order, a row for each input. */
import { endianness } from "node:os";
import { headerNames, MillraceError } from "millrace-client/wire";
import type { Reply } from "../../listen/http/http-front.js";
import type { SubmitOutcome } from "../../submit/submit.js";

export const rowsMediaType = "application/octet-stream";

/** Proxies and clients take some 16 KiB of headers; the rows say the same. */
const failedCharactersMax = 4_096;

export class RowsReply {
  /** Of the tensor that the task's results are. */
  readonly #name: string;
  readonly #rows: Float32Array[] = [];
  #width: number | null = null;

  constructor(name: string) {
    this.#name = name;
  }

  /** Throws `bad_request` where the result is no row, or not as long as the others. */
  add({ index, outcome }: SubmitOutcome): void {
    if ("error" in outcome) return;
    const tensor = outcome.value.tensors[this.#name];
    if (!(tensor?.data instanceof Float32Array) || tensor.shape.length !== 1) {
      throw refusal("the results are no float32 rows of one length");
    }
    this.#width ??= tensor.data.length;
    if (tensor.data.length !== this.#width) {
      throw refusal(`its rows would have ${this.#width} and ${tensor.data.length} numbers`);
    }
    this.#rows[index] = tensor.data;
  }

  /** Once, when every input has its outcome. */
  reply(inputs: number, headers: Readonly<Record<string, string>>): Reply {
    const width = this.#width ?? 0;
    const all = new Float32Array(inputs * width).fill(Number.NaN);
    const failed: number[] = [];
    for (let index = 0; index < inputs; index += 1) {
      const row = this.#rows[index];
      if (row === undefined) failed.push(index);
      else all.set(row, index * width);
    }
    const body = Buffer.from(all.buffer);
    if (endianness() === "BE") body.swap32();
    return {
      status: 200,
      contentType: rowsMediaType,
      body,
      headers: {
        ...headers,
        [headerNames.shape]: `${inputs},${width}`,
        ...(failed.length === 0 ? {} : { [headerNames.failed]: listed(failed) }),
      },
    };
  }
}

/** Where they are too many for a header, the rest is left to who reads the rows. */
function listed(failed: readonly number[]): string {
  const text = failed.join(",");
  if (text.length <= failedCharactersMax) return text;
  return `${text.slice(0, text.lastIndexOf(",", failedCharactersMax))},...`;
}

function refusal(why: string): MillraceError {
  const message = `${rowsMediaType} cannot be the reply: ${why}. Ask for JSON.`;
  return new MillraceError("bad_request", message, { param: "accept" });
}
