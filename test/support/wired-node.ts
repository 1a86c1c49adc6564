/** A node in this process that can be cut off from NATS, and its workers made to wait. */
import type { LocalSubmitOptions } from "#src/submit/local/local-submit.js";
import { FakeLocal } from "./local.js";
import { FakeNode, type FakeNodeOptions, Wire } from "./nats-node.js";
import type { NatsServer } from "./nats-server.js";
import { FakeModel } from "./pool.js";

export interface WiredOptions {
  readonly local?: Partial<LocalSubmitOptions>;
  readonly limits?: FakeNodeOptions["limits"];
}

type WiredParts = Pick<WiredNode, "model" | "wire" | "fake" | "node">;

/** A node of this name with workers of its own, behind a wire of its own. */
export class WiredNode implements AsyncDisposable {
  readonly model: FakeModel;
  readonly wire: Wire;
  readonly fake: FakeLocal;
  readonly node: FakeNode;

  static async start(
    server: NatsServer,
    name: string,
    { local = {}, limits = {} }: WiredOptions = {},
  ): Promise<WiredNode> {
    const wire = await Wire.to(server.port);
    const model = new FakeModel();
    const fake = new FakeLocal({ model, count: 1, local });
    await fake.events.next("loaded");
    const parts = { url: wire.url, name, task: "numbers", model: "fake", limits };
    const node = await FakeNode.start({ ...parts, submit: fake.local });
    return new WiredNode({ model, wire, fake, node });
  }

  private constructor({ model, wire, fake, node }: WiredParts) {
    this.model = model;
    this.wire = wire;
    this.fake = fake;
    this.node = node;
  }

  get seen(): FakeNode["seen"] {
    return this.node.seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
    await this.wire[Symbol.asyncDispose]();
    await this.fake[Symbol.asyncDispose]();
    this.model[Symbol.dispose]();
  }
}
