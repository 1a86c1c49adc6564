/** ECTrans over ZeroMQ: a DEALER for tasks, a SUB for their parts. */
import { EctransClient, ectransPortsOf } from "../../support/ectrans-client.js";
import { anywhere } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  type Outcome,
  Refused,
} from "./driver.js";

const alone = "its result is an empty text, and `errors` of the part names its index and code";
const refused =
  "instead of `OK` comes the code and why, and as many empty results as were waited for";

export const ectransformer: FrontDriver<"translate"> = {
  title: "ECTrans, ZeroMQ",
  client: "DEALER and SUB of zeromq 6 (npm), and pyzmq in test/conformance/ectransformer.test.ts",
  task: "translate",
  options: { zmqPort: 0, zmqPortOut: 0 },
  cells: {
    ...anywhere,
    numbers: { how: "a translation has none: texts are the native route's" },
    order: { how: "parts come in their order, `<tid>_0` first, and results in that of the texts" },
    badInput: { how: alone, fails: "alone", says: "item_failed" },
    tooLong: { how: alone, fails: "alone", says: "input_too_long" },
    unknownModel: {
      how: "`model` beside `tid`, which its clients do not send: `--ectrans-model` says which it is; refused",
      says: "model_not_found",
    },
    malformed: { how: "`bad_request: …` instead of `OK`", says: "bad_request" },
    manyCallers: { how: "a DEALER and a SUB each" },
    callerGone: { how: "nobody is subscribed to the task any more, for a quarter of a second" },
    cancel: { how: "the client unsubscribes from the task, and keeps its connections" },
    queueFull: { how: refused, says: "queue_full" },
    deadline: {
      how: `\`--request-timeout-ms-default\`, for the protocol has no field for it; ${alone}`,
      by: "server",
      fails: "alone",
      says: "deadline_exceeded",
    },
    notReady: { how: refused, says: "not_ready" },
    draining: { how: refused, says: "draining" },
    unauthenticated: { how: `\`key\` beside \`tid\`; ${refused}`, says: "unauthenticated" },
  },
  open: (server, { key }) => {
    const client = new EctransClient(ectransPortsOf(server));
    return Promise.resolve(new EctransDriverClient(client, key));
  },
};

class EctransDriverClient implements FrontClient<"translate"> {
  readonly #client: EctransClient;
  readonly #key: string | null;

  constructor(client: EctransClient, key: string | null) {
    this.#client = client;
    this.#key = key;
  }

  async ask(
    texts: readonly string[],
    { model, leave, cancel }: AskOptions = {},
  ): Promise<readonly Outcome<"translate">[]> {
    leave?.addEventListener("abort", () => this.#client[Symbol.dispose]());
    const more = {
      ...(this.#key === null ? {} : { key: this.#key }),
      ...(model === undefined ? {} : { model }),
    };
    const stopped = new Promise<never>((_, reject) => {
      cancel?.addEventListener("abort", () => reject(new Error("cancelled")));
    });
    const asked = this.#client.translate(texts, more, cancel);
    const { reply, results, errors, error } = await Promise.race([asked, stopped]);
    if (reply !== "OK" || error !== null) {
      const [says = "", ...why] = reply === "OK" ? [error?.code] : reply.split(": ");
      if (error?.code !== says) throw new Error(`${reply}, and ${error?.code} with the results`);
      throw new Refused(says, why.join(": "));
    }
    return results.map((text, index) => {
      const code = errors.get(index);
      return code === undefined ? text : { error: code };
    });
  }

  async malformed(): Promise<unknown> {
    const reply = await this.#client.exchange('{"tid": 1, "texts": [');
    const [says = "", ...why] = reply.split(": ");
    throw new Refused(says, why.join(": "));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await Promise.resolve();
  }
}
