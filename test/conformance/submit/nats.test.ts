import { FakeLocal } from "../../support/local.js";
import { FakeNode, NatsEdge } from "../../support/nats-node.js";
import { NatsServer, skipWithoutNats } from "../../support/nats-server.js";
import { numbersTask } from "../../support/numbers-task.js";
import { until } from "../../support/until.js";
import type { SubmitDriver } from "./driver.js";
import { testSubmit } from "./suite.js";

const natsSubmit: SubmitDriver = {
  name: "nats",
  skip: skipWithoutNats,
  async open({ model, queuedItemsMax = 10_000, pipelines = 1 }) {
    const limits = { queuedItemsMax, queuedBytesMax: 10_000_000, requestInputsMax: 10_000 };
    const { task } = numbersTask();
    const opened: AsyncDisposable[] = [];
    const use = <T extends AsyncDisposable>(each: T): T => {
      opened.unshift(each);
      return each;
    };
    const server = use(await NatsServer.start());
    const fake = use(new FakeLocal({ model, count: pipelines, local: { limits } }));
    await fake.events.next("loaded");
    const { url } = server;
    const parts = { url, name: "n1", submit: fake.local, task: task.name, model: "fake" };
    const node = use(await FakeNode.start(parts));
    // What an edge has at all nodes may be more than one of them takes.
    const edge = use(await NatsEdge.start({ url, task, queuedItemsMax: 4 * queuedItemsMax }));
    await edge.knows(1);
    return {
      submit: edge.submit,
      seen: node.seen,
      refuseNew: () => edge.submit.refuseNew(),
      nothingHeld: async () => {
        await until(() => fake.local.held.items === 0 && edge.submit.held.items === 0);
      },
      [Symbol.asyncDispose]: async () => {
        for (const each of opened) await each[Symbol.asyncDispose]();
      },
    };
  },
};

testSubmit(natsSubmit);
