import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModelInfo } from "millrace-client/wire";
import { NodeAnnouncer } from "#src/backend/node-announcer.js";
import type { NatsLink } from "#src/nats/connection.js";
import type { Submit } from "#src/submit/submit.js";
import type { ServerViews } from "#src/work/views.js";

test("defect: a model was described and hashed each second, though it was the same", () => {
  let described = 0;
  const limitsOf = (inputTokensMax: number): ModelInfo["limits"] => {
    const limits = { inputTokensMax };
    Object.defineProperty(limits, "toJSON", {
      value: () => {
        described += 1;
        return { inputTokensMax };
      },
    });
    return limits;
  };
  let limits = limitsOf(512);
  const link = { instance: "a-node-alone", listen: () => () => {}, connected: null };
  const identity = { node: "n1", version: "1", environment: "test", configHash: "0" };
  const views = {
    identity,
    isDraining: false,
    ready: () => ({ state: "ready" }),
    status: () => ({ pipelines: [], queues: [], stages: [], models: [] }),
    statistics: () => [],
  };
  const its = { task: "translate", family: "fake", precision: "int8", pipelines: [] };
  const announcer = new NodeAnnouncer({
    link: link as unknown as NatsLink,
    log: { warn: () => {} },
    options: { role: "node" },
    views: views as unknown as ServerViews,
    side: {
      submit: {} as Submit,
      models: () => [
        { ...its, name: "m", ready: true, state: "resident", reason: null, limits },
        { ...its, name: "n", ready: false, state: "on-disk", reason: null, limits: {} },
      ],
      tasksOf: () => ["translate"],
      onChange: () => () => {},
    },
  });
  const [first] = announcer.entry().models;
  assert.deepEqual(announcer.entry().models[0], first);
  assert.equal(described, 1);
  limits = limitsOf(1_024);
  assert.notEqual(announcer.entry().models[0]?.infoId, first?.infoId);
  assert.equal(described, 2);
  announcer.leave();
});
