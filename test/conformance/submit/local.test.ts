import type { Submit } from "#src/submit/submit.js";
import { FakeLocal } from "../../support/local.js";
import { until } from "../../support/until.js";
import type { OpenSubmit, SubmitDriver } from "./driver.js";
import { testSubmit } from "./suite.js";

const localSubmit: SubmitDriver = {
  name: "local",
  skip: false,
  async open({ model, queuedItemsMax = 10_000, pipelines = 1 }) {
    const limits = { queuedItemsMax, queuedBytesMax: 10_000_000, requestInputsMax: 10_000 };
    const fake = new FakeLocal({ model, count: pipelines, local: { limits } });
    await fake.events.next("loaded");
    const seen: OpenSubmit["seen"][number][] = [];
    const submit: Submit = {
      tasks: fake.local.tasks,
      submit: async (request, signal, events) => {
        const onInputs = (inputs: readonly unknown[]): void => {
          events.onInputs?.(inputs);
          seen.push({ request, signal });
        };
        return await fake.local.submit(request, signal, { ...events, onInputs });
      },
    };
    return {
      submit,
      seen,
      refuseNew: () => fake.local.refuseNew(),
      nothingHeld: () => nothingHeld(fake),
      [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
    };
  },
};

/** A cancelled request is gone at once; its run ends by itself. */
async function nothingHeld({ local }: FakeLocal): Promise<void> {
  await until(() => {
    const { requests, items, bytes } = local.held;
    return requests === 0 && items === 0 && bytes === 0;
  });
}

testSubmit(localSubmit);
