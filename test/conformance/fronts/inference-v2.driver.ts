/** The Open Inference Protocol v2 over REST: one tensor as raw bytes both ways, as Triton's clients send them. */
import { HttpConnection } from "../../support/http-connection.js";
import { overHttp } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  modelOf,
  type Outcome,
  Refused,
} from "./driver.js";
import { pairsOf } from "./world.js";

const oneTensor = "a request is one tensor, and fails as one";

export const inferenceV2: FrontDriver<"infer"> = {
  title: "Open Inference Protocol v2, REST",
  client: "node:http, with binary tensors",
  task: "infer",
  cells: {
    ...overHttp,
    numbers: { how: "the bytes of the float32 themselves" },
    order: { how: "rows of the outputs are those of the inputs" },
    badInput: { how: `\`422\`, \`{"error": "…"}\`: ${oneTensor}`, fails: "together", says: "422" },
    tooLong: {
      how: `\`400\`: a row of more columns than the model takes; ${oneTensor}`,
      fails: "together",
      says: "400",
    },
    unknownModel: { how: "`404`", says: "404" },
    malformed: { how: "`400`; the connection stays", says: "400" },
    company: { how: "rows of requests whose tensors have the same shape but for the first axis" },
    queueFull: { how: "`429` with `Retry-After`", says: "429" },
    deadline: {
      how: "`parameters.timeout` in microseconds; `504`",
      by: "caller",
      fails: "together",
      says: "504",
    },
    notReady: { how: "`503` with `Retry-After`", says: "503" },
    draining: { how: "`503` with `Retry-After`", says: "503" },
    unauthenticated: { how: "`401`", says: "401" },
  },
  open: (server, { key }) => Promise.resolve(new InferenceV2Client(server.url, key)),
};

class InferenceV2Client implements FrontClient<"infer"> {
  readonly #connection: HttpConnection;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, key: string | null) {
    this.#connection = new HttpConnection(url);
    this.#headers = key === null ? {} : { authorization: `Bearer ${key}` };
  }

  async ask(
    rows: readonly (readonly number[])[],
    { model = modelOf.infer, timeoutMs, leave }: AskOptions = {},
  ): Promise<readonly Outcome<"infer">[]> {
    // Rows of different lengths are no tensor: all are as long as the longest.
    const width = Math.max(...rows.map((row) => row.length));
    const flat = rows.flatMap((row) => Array.from({ length: width }, (_, at) => row[at] ?? 0));
    const raw = Buffer.from(BigInt64Array.from(flat.map(BigInt)).buffer);
    const shape = [rows.length, width];
    const parameters = { binary_data_size: raw.length };
    const head = Buffer.from(
      JSON.stringify({
        inputs: [{ name: "at", shape, datatype: "INT64", parameters }],
        outputs: [{ name: "found", parameters: { binary_data: true } }],
        ...(timeoutMs === undefined ? {} : { parameters: { timeout: timeoutMs * 1_000 } }),
      }),
    );
    const headers = { [headLength]: String(head.length) };
    const body = Buffer.concat([head, raw]);
    const answer = await this.#send(`/v2/models/${model}/infer`, { headers, body, signal: leave });
    const bytes = answer.body.subarray(Number(answer.headers[headLength]));
    const floats = new Float32Array(Uint8Array.from(bytes).buffer);
    return pairsOf([...floats]);
  }

  malformed(): Promise<unknown> {
    return this.#send(`/v2/models/${modelOf.infer}/infer`, { body: '{"inputs": [{' });
  }

  async #send(
    path: string,
    { headers = {}, ...question }: Parameters<HttpConnection["send"]>[1],
  ): ReturnType<HttpConnection["send"]> {
    const all = { ...this.#headers, ...headers };
    const answer = await this.#connection.send(path, { ...question, headers: all });
    if (answer.status === 200) return answer;
    const { error } = JSON.parse(answer.body.toString()) as { readonly error: string };
    throw new Refused(String(answer.status), error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
    await Promise.resolve();
  }
}

const headLength = "inference-header-content-length";
