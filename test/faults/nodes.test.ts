/** Nodes that are killed, cut off, full, stopping or lying, and NATS that goes: nothing lost, nothing doubled, every wait bounded. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import type { LocalSubmitOptions } from "#src/submit/local/local-submit.js";
import type { SubmitOutcome, SubmitSummary } from "#src/submit/submit.js";
import { magic } from "../support/fake-tokens.js";
import { FakeLocal, textOrCode } from "../support/local.js";
import { longTest } from "../support/long.js";
import { FakeNode, NatsEdge, type NatsEdgeOptions, Wire } from "../support/nats-node.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { numbersTask } from "../support/numbers-task.js";
import { FakeModel } from "../support/pool.js";
import { until } from "../support/until.js";
import { WiredNode } from "../support/wired-node.js";

const options = { timeout: 60_000, skip: skipWithoutNats };
const { task } = numbersTask();

interface Deployment extends AsyncDisposable {
  readonly server: NatsServer;
  /** It is asked first. */
  readonly first: WiredNode;
  readonly second: WiredNode;
  readonly edge: NatsEdge;
}

async function deploy(
  parts: Partial<NatsEdgeOptions> & { readonly local?: Partial<LocalSubmitOptions> } = {},
): Promise<Deployment> {
  const { local = {}, ...edgeParts } = parts;
  const server = await NatsServer.start();
  const edge = await NatsEdge.start({ url: server.url, task, ...edgeParts });
  const first = await WiredNode.start(server, "n1", { local });
  await edge.knows(1);
  const second = await WiredNode.start(server, "n2");
  await edge.knows(2);
  return {
    server,
    first,
    second,
    edge,
    async [Symbol.asyncDispose]() {
      for (const each of [edge, first, second, server]) await each[Symbol.asyncDispose]();
    },
  };
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index + 1}.`);
}

interface Asked {
  readonly summary: SubmitSummary;
  readonly outcomes: SubmitOutcome[];
}

async function ask(
  { edge }: Pick<Deployment, "edge">,
  texts: readonly string[],
  onOutcome: (outcome: SubmitOutcome) => void = () => {},
): Promise<Asked> {
  const outcomes: SubmitOutcome[] = [];
  const asked = { id: "r", task: "numbers", model: null, class: null, tenant: "default" };
  const request = { ...asked, fields: { texts }, deadlineAtMs: null, payloadBytes: 10 };
  const summary = await edge.submit.submit(request, new AbortController().signal, {
    onOutcome: (outcome) => {
      outcomes.push(outcome);
      onOutcome(outcome);
    },
  });
  outcomes.sort((a, b) => a.index - b.index);
  return { summary, outcomes };
}

function refusal(asked: Promise<unknown>): Promise<MillraceError> {
  return asked.then(
    () => assert.fail("it was not refused"),
    (error: unknown) => {
      assert(error instanceof MillraceError, String(error));
      return error;
    },
  );
}

function nothingHeld({ edge }: Pick<Deployment, "edge">): void {
  assert.deepEqual(edge.submit.held, { items: 0, bytes: 0 });
  for (const { sentItems } of edge.directory.nodes) assert.equal(sentItems, 0);
}

/** Twenty are done at the first node, and one is held there. */
const texts = [...numbers(20), `${magic.hold}.`];
const done = [...numbers(20).map((text) => text.slice(0, -1)), String(magic.hold)];

/** Once all of it but what is held has come: then the node is lost. */
function afterTwenty(lose: () => void): (outcome: SubmitOutcome) => void {
  let had = 0;
  return () => {
    had += 1;
    if (had === 20) lose();
  };
}

test("a node that is killed: what it had not answered goes to another, once", options, async () => {
  await using all = await deploy();
  all.second.model.write("release");
  const { summary, outcomes } = await ask(
    all,
    texts,
    afterTwenty(() => all.first.wire.sever()),
  );
  assert.deepEqual(outcomes.map(textOrCode), done);
  assert.deepEqual(
    all.second.seen.map(({ request }) => request.only),
    [[20]],
  );
  assert.deepEqual(summary.pipelines, { n1: 20, "n2/p0": 1 });
  nothingHeld(all);
});

test(
  "a node that is cut off is given up after three beats, and what it says later is not heard",
  options,
  async () => {
    await using all = await deploy();
    all.second.model.write("release");
    const cut = afterTwenty(() => {
      all.first.wire.isCut = true;
    });
    const { outcomes } = await ask(all, texts, cut);
    assert.deepEqual(outcomes.map(textOrCode), done);
    // It is there again, and hears that nobody waits: what it holds is dropped, and nothing of it reaches the caller.
    const left = all.first.seen[0]?.signal;
    assert(left !== undefined);
    all.first.wire.isCut = false;
    if (!left.aborted)
      await new Promise((resolve) => left.addEventListener("abort", resolve, { once: true }));
    assert.equal(outcomes.length, texts.length);
    nothingHeld(all);
  },
);

longTest(
  "the last node is lost: its items fail alone, and the next request says what to do",
  options,
  async () => {
    await using all = await deploy();
    all.second.wire.sever();
    await all.edge.knows(1);
    const { outcomes } = await ask(
      all,
      texts,
      afterTwenty(() => all.first.wire.sever()),
    );
    assert.deepEqual(outcomes.map(textOrCode), [...done.slice(0, 20), "worker_lost"]);
    const error = await refusal(ask(all, numbers(1)));
    assert.equal(error.code, "not_ready");
    assert(error.retryable);
    assert((error.retryAfterMs ?? 0) > 0);
    assert.match(error.message, /--role node/);
    nothingHeld(all);
  },
);

longTest(
  "a request whose nodes are lost as often as an item may be tried goes nowhere any more",
  options,
  async () => {
    await using all = await deploy({ attemptsMax: 1 });
    const { outcomes } = await ask(
      all,
      texts,
      afterTwenty(() => all.first.wire.sever()),
    );
    assert.deepEqual(outcomes.map(textOrCode), [...done.slice(0, 20), "worker_lost"]);
    assert.equal(all.second.seen.length, 0);
  },
);

longTest("an item that ends workers of one node ends none of another", options, async () => {
  await using all = await deploy();
  const { outcomes } = await ask(all, ["1.", `${magic.crash}.`, "2."]);
  assert.deepEqual(outcomes.map(textOrCode), ["1", "item_poison", "2"]);
  assert.equal(all.second.seen.length, 0);
});

test(
  "a node that stops gives back what it has not done, and gets nothing new",
  options,
  async () => {
    await using all = await deploy();
    all.second.model.write("release");
    const stop = afterTwenty(() => {
      all.first.node.drain();
      void all.first.fake.local.stop({ drainMs: 0 });
    });
    const { outcomes } = await ask(all, texts, stop);
    assert.deepEqual(outcomes.map(textOrCode), done);
    const { outcomes: later } = await ask(all, ["7."]);
    assert.deepEqual(later.map(textOrCode), ["7"]);
    assert.equal(all.first.seen.length, 1);
    nothingHeld(all);
  },
);

longTest("a node that is full refuses, and another takes it", options, async () => {
  const limits = { queuedItemsMax: 4, queuedBytesMax: 10_000_000, requestInputsMax: 10_000 };
  await using all = await deploy({ local: { limits } });
  const holding = ask(all, [`${magic.hold}.`, "1.", "2.", "3."]);
  const { outcomes } = await ask(
    all,
    numbers(3).map((text) => text),
  );
  assert.deepEqual(outcomes.map(textOrCode), ["1", "2", "3"]);
  for (const { model } of [all.first, all.second]) model.write("release");
  assert.equal((await holding).outcomes.length, 4);
});

longTest(
  "NATS is killed and comes back at once: what is open goes on, and nothing comes twice",
  options,
  async () => {
    await using all = await deploy();
    const { server } = all;
    const away = afterTwenty(() => {
      void server.kill().then(async () => {
        await server.start({ isEmpty: true });
        for (const { model } of [all.first, all.second]) model.write("release");
      });
    });
    const { outcomes } = await ask(all, texts, away);
    assert.deepEqual(outcomes.map(textOrCode), done);
  },
);

test(
  "NATS is away: what is open fails after a bounded wait, and all works again when it is back",
  options,
  async () => {
    await using all = await deploy();
    const { server, edge } = all;
    const { outcomes } = await ask(
      all,
      texts,
      afterTwenty(() => void server.kill()),
    );
    assert.deepEqual(outcomes.map(textOrCode), [...done.slice(0, 20), "worker_lost"]);
    const error = await refusal(ask(all, numbers(1)));
    assert.equal(error.code, "not_ready");
    assert.match(error.message, /NATS is away/);
    await edge.knows(0);
    await server.start({ isEmpty: true });
    await edge.knows(2);
    all.first.model.write("release");
    const { outcomes: later } = await ask(all, numbers(3));
    assert.deepEqual(later.map(textOrCode), ["1", "2", "3"]);
    nothingHeld(all);
  },
);

test("what is larger than a node takes is refused before it is held", options, async () => {
  await using server = await NatsServer.start();
  await using edge = await NatsEdge.start({ url: server.url, task });
  await using node = await WiredNode.start(server, "n1");
  await edge.knows(1);
  const long = `${"1 ".repeat(9_000_000)}.`;
  const error = await refusal(ask({ edge }, [long]));
  assert.equal(error.code, "body_too_large");
  assert.equal(node.seen.length, 0);
});

test("an edge holds no more than its own queue takes", options, async () => {
  await using all = await deploy({ queuedItemsMax: 10 });
  const holding = ask(all, [`${magic.hold}.`, ...numbers(7)]);
  const full = await refusal(ask(all, numbers(3)));
  assert.equal(full.code, "queue_full");
  assert((full.retryAfterMs ?? 0) > 0);
  assert.equal((await refusal(ask(all, numbers(11)))).code, "too_many_items");
  for (const { model } of [all.first, all.second]) model.write("release");
  await holding;
  nothingHeld(all);
});

test(
  "two hundred callers at an edge whose nodes stand still: as many as it has room for wait, the others are told when",
  options,
  async () => {
    await using all = await deploy({ queuedItemsMax: 90 });
    const asked = Array.from({ length: 200 }, () => ask(all, [`${magic.hold}.`]));
    const told = asked.map((each) =>
      each.then(
        ({ outcomes }) => outcomes.map(textOrCode).join(),
        (error: unknown) => {
          assert(error instanceof MillraceError && (error.retryAfterMs ?? 0) > 0, String(error));
          return error.code;
        },
      ),
    );
    const refused = await Promise.all(told.slice(90));
    assert.deepEqual(new Set(refused), new Set(["queue_full"]));
    assert.equal(all.edge.submit.held.items, 90);
    for (const { model } of [all.first, all.second]) model.write("release");
    assert.deepEqual(new Set(await Promise.all(told.slice(0, 90))), new Set([String(magic.hold)]));
    assert.deepEqual((await ask(all, numbers(2))).outcomes.map(textOrCode), ["1", "2"]);
    nothingHeld(all);
  },
);

longTest(
  "a node has no more requests of others than connections, and drops those of an edge that is gone",
  options,
  async () => {
    await using server = await NatsServer.start();
    await using wire = await Wire.to(server.port);
    await using other = await NatsEdge.start({ url: wire.url, task });
    await using edge = await NatsEdge.start({ url: server.url, task });
    await using node = await WiredNode.start(server, "n1", { limits: { connectionsMax: 1 } });
    await Promise.all([edge.knows(1), other.knows(1)]);
    const gone = ask({ edge: other }, [`${magic.hold}.`]);
    const failed = gone.then(({ outcomes }) => outcomes.map(textOrCode));
    await until(() => node.seen.length > 0);
    assert.equal((await refusal(ask({ edge }, ["1."]))).code, "queue_full");
    const left = node.seen[0]?.signal;
    assert(left !== undefined);
    wire.isCut = true;
    await new Promise((resolve) => left.addEventListener("abort", resolve, { once: true }));
    node.model.write("release");
    assert.deepEqual((await ask({ edge }, ["1."])).outcomes.map(textOrCode), ["1"]);
    assert.deepEqual(await failed, ["worker_lost"]);
  },
);

longTest(
  "what no other node is left for is done on the server's own pipelines, at the places that it had",
  options,
  async () => {
    await using server = await NatsServer.start();
    using model = new FakeModel();
    await using fake = new FakeLocal({ model, count: 1 });
    await fake.events.next("loaded");
    model.write("release");
    const here = { node: "e1", submit: fake.local, serves: (name: string) => name === "fake" };
    await using edge = await NatsEdge.start({ url: server.url, task, here });
    await using node = await WiredNode.start(server, "n1");
    await edge.knows(1);
    const mixed = [...texts, "bad", "7."];
    const { summary, outcomes } = await ask(
      { edge },
      mixed,
      afterTwenty(() => node.wire.sever()),
    );
    assert.deepEqual(outcomes.map(textOrCode), [...done, "input_too_long", "7"]);
    assert.equal(outcomes.length, mixed.length);
    assert(Object.keys(summary.pipelines).includes("e1/p0"), JSON.stringify(summary.pipelines));
  },
);

test(
  "defect: a node of more models than NATS takes in one message lives, and is asked for those that it could tell",
  options,
  async () => {
    await using server = await NatsServer.start({ config: "max_payload: 8192" });
    await using edge = await NatsEdge.start({ url: server.url, task });
    using model = new FakeModel();
    await using fake = new FakeLocal({ model, count: 1 });
    await fake.events.next("loaded");
    const parts = { url: server.url, name: "n1", task: task.name, model: "fake", more: 200 };
    await using node = await FakeNode.start({ ...parts, submit: fake.local });
    await edge.knows(1);
    const told = edge.directory.nodes[0]?.entry.models.length ?? 0;
    assert.ok(told > 0 && told < 200, String(told));
    const asked = { id: "r", task: "numbers", model: "fake", class: null, tenant: "default" };
    const request = { ...asked, fields: { texts: ["1."] }, deadlineAtMs: null, payloadBytes: 10 };
    const summary = await edge.submit.submit(request, new AbortController().signal, {
      onOutcome: () => {},
    });
    assert.equal(summary.inputs, 1);
    assert.equal(node.seen.length, 1);
  },
);
