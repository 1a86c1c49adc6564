/** The front of bert-as-service with options of its own, over the backend of a server that is there already; free ports. */
import { type Access, openAccess } from "#src/access/access.js";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import { openBertFront } from "#src/front/bert-as-service/bert-as-service.js";
import type { MillraceServer } from "#src/index.js";
import { Metrics } from "#src/metrics/metrics.js";
import type { Options } from "#src/options/options.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import type { BertPorts } from "./bert-clients.js";
import { TestZmq } from "./zmq-front.js";

export class BertListener implements AsyncDisposable {
  readonly #zmq: TestZmq;

  private constructor(zmq: TestZmq) {
    this.#zmq = zmq;
  }

  static async over(
    { submit, views }: MillraceServer,
    own: Partial<Options>,
    { access = openAccess, terminate = () => {} }: { access?: Access; terminate?: () => void } = {},
  ): Promise<BertListener> {
    const code = { bertPort: 0, bertPortOut: 0, ...own };
    const { options } = resolveConfiguration({ code });
    const guarded = new GuardedSubmit(submit);
    const metrics = new Metrics();
    const parts = { submit: guarded, views, tasks: [], options, metrics, terminate };
    const { zmq: front } = openBertFront(parts);
    if (front === undefined) throw new Error("it does not speak over ZeroMQ");
    return new BertListener(await TestZmq.startFront(front, { ...code, access }));
  }

  get counted(): readonly string[] {
    return this.#zmq.counted;
  }

  get ports(): BertPorts {
    const [port = 0, portOut = 0] = (this.#zmq.listener.url.match(/\d+(?= |$)/g) ?? []).map(Number);
    return { port, portOut };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#zmq[Symbol.asyncDispose]();
  }
}
