/** A request of many inputs through an edge, under nodes that are lost, full, stuck or late: all of it once, at its places. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import type { SubmitOutcome, SubmitRequest, SubmitSummary } from "#src/submit/submit.js";
import { magic } from "../support/fake-tokens.js";
import { FakeLocal, textOrCode } from "../support/local.js";
import { NatsEdge } from "../support/nats-node.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { numbersTask } from "../support/numbers-task.js";
import { FakeModel } from "../support/pool.js";
import { until } from "../support/until.js";
import { WiredNode } from "../support/wired-node.js";

const options = { timeout: 60_000, skip: skipWithoutNats };
const { task } = numbersTask();
const held = `${magic.hold}.`;

/** Each its number, so that each result is known. */
function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index + 1}.`);
}

function resultsOf(texts: readonly string[]): string[] {
  return texts.map((text) => text.slice(0, -1));
}

interface Asking {
  readonly asked: Promise<{ readonly summary: SubmitSummary; readonly texts: string[] }>;
  /** As they come. */
  readonly outcomes: readonly SubmitOutcome[];
  readonly leaving: AbortController;
}

function requestOf(texts: readonly string[], more: Partial<SubmitRequest> = {}): SubmitRequest {
  const asked = {
    id: "r",
    task: "numbers",
    model: null,
    tenant: "default",
    class: "bulk",
  } as const;
  return { ...asked, fields: { texts }, deadlineAtMs: null, payloadBytes: 10, ...more };
}

function ask(
  edge: NatsEdge,
  texts: readonly string[],
  {
    onOutcome = () => {},
    ...more
  }: Partial<SubmitRequest> & { readonly onOutcome?: (had: number) => void } = {},
): Asking {
  const outcomes: SubmitOutcome[] = [];
  const leaving = new AbortController();
  const submitted = edge.submit.submit(requestOf(texts, more), leaving.signal, {
    onOutcome: (outcome) => {
      outcomes.push(outcome);
      onOutcome(outcomes.length);
    },
  });
  const sorted = async (): Promise<Awaited<Asking["asked"]>> => {
    const summary = await submitted;
    return { summary, texts: outcomes.toSorted((a, b) => a.index - b.index).map(textOrCode) };
  };
  return { asked: sorted(), outcomes, leaving };
}

function nothingHeld(edge: NatsEdge): void {
  assert.deepEqual(edge.submit.held, { items: 0, bytes: 0 });
  for (const { sentItems } of edge.directory.nodes) assert.equal(sentItems, 0);
}

/** How many inputs a node was asked for. */
function itemsOf({ seen }: WiredNode): number {
  return seen.reduce((sum, { request }) => sum + listOf(request).length, 0);
}

function listOf({ fields }: SubmitRequest): readonly unknown[] {
  return fields["texts"] as readonly unknown[];
}

test("all nodes do it, a lot at a time, and each outcome has its place", options, async () => {
  await using server = await NatsServer.start();
  await using edge = await NatsEdge.start({ url: server.url, task });
  await using first = await WiredNode.start(server, "n1");
  await using second = await WiredNode.start(server, "n2");
  await edge.knows(2);
  const texts = [...numbers(300), "bad", ...numbers(300)];
  const { summary, texts: results } = await ask(edge, texts, { class: null }).asked;
  assert.deepEqual(results, [
    ...resultsOf(numbers(300)),
    "input_too_long",
    ...resultsOf(numbers(300)),
  ]);
  assert.equal(summary.class, "bulk");
  assert.equal(summary.inputs, texts.length);
  for (const node of [first, second]) {
    assert(node.seen.length > 1, "several lots");
    for (const { request } of node.seen) assert.equal(request.class, "bulk");
  }
  assert.equal(itemsOf(first) + itemsOf(second), texts.length, "nothing twice");
  const { totalMs, ...phases } = summary.timings;
  for (const ms of Object.values(phases)) assert(ms >= 0 && ms <= totalMs);
  nothingHeld(edge);
});

test("a node that is killed in the middle loses its lots and nothing else", options, async () => {
  await using server = await NatsServer.start();
  await using edge = await NatsEdge.start({ url: server.url, task });
  await using first = await WiredNode.start(server, "n1");
  await using second = await WiredNode.start(server, "n2");
  await edge.knows(2);
  const texts = numbers(600);
  const { asked, outcomes } = ask(edge, texts, {
    onOutcome: (had) => {
      if (had === 60) first.wire.sever();
    },
  });
  assert.deepEqual((await asked).texts, resultsOf(texts));
  assert.equal(outcomes.length, texts.length);
  assert(itemsOf(first) > 0 && itemsOf(first) < texts.length / 2, String(itemsOf(first)));
  assert(itemsOf(second) >= texts.length - itemsOf(first));
  nothingHeld(edge);
});

test(
  "of a node that is stuck only its lots are waited for; one that comes later does the rest",
  options,
  async () => {
    await using server = await NatsServer.start();
    await using edge = await NatsEdge.start({ url: server.url, task });
    await using first = await WiredNode.start(server, "n1");
    await edge.knows(1);
    const texts = [held, ...numbers(599)];
    const { asked, outcomes } = ask(edge, texts);
    await until(() => first.seen.length === 2);
    await using second = await WiredNode.start(server, "n2");
    // Its first batch is held, and everything of it waits behind that.
    await until(() => outcomes.length === texts.length - itemsOf(first));
    assert.equal(first.seen.length, 2, "nothing more goes to who does nothing");
    assert(itemsOf(first) <= 50, String(itemsOf(first)));
    assert.equal(itemsOf(second), texts.length - itemsOf(first));
    first.model.write("release");
    const { summary, texts: results } = await asked;
    assert.deepEqual(results, resultsOf(texts));
    assert.deepEqual(Object.keys(summary.pipelines).sort(), ["n1/p0", "n2/p0"]);
    nothingHeld(edge);
  },
);

test(
  "a node that is full is left alone; where all are, an accepted request waits as in a queue",
  options,
  async () => {
    await using server = await NatsServer.start();
    await using edge = await NatsEdge.start({ url: server.url, task });
    const limits = { queuedItemsMax: 60, queuedBytesMax: 10_000_000, requestInputsMax: 10_000 };
    await using first = await WiredNode.start(server, "n1", { local: { limits } });
    await using other = await NatsEdge.start({ url: server.url, task });
    await Promise.all([edge.knows(1), other.knows(1)]);
    const filling = ask(other, [held, ...numbers(54)], { class: "realtime" });
    await until(() => first.seen.length > 0);
    const refused = await ask(edge, numbers(600)).asked.catch((error: unknown) => error);
    assert(refused instanceof MillraceError && refused.code === "queue_full", String(refused));
    assert((refused.retryAfterMs ?? 0) > 0);
    await using second = await WiredNode.start(server, "n2");
    await Promise.all([edge.knows(2), other.knows(2)]);
    const { asked, outcomes } = ask(edge, numbers(600), {
      onOutcome: (had) => {
        if (had === 100) second.wire.sever();
      },
    });
    // The second is gone, and the first is full still.
    await until(() => outcomes.length >= 100);
    await edge.knows(1);
    first.model.write("release");
    assert.deepEqual((await asked).texts, resultsOf(numbers(600)));
    await filling.asked;
    nothingHeld(edge);
  },
);

test("who leaves, a deadline and a callback that throws end all of it", options, async () => {
  await using server = await NatsServer.start();
  await using edge = await NatsEdge.start({ url: server.url, task });
  await using first = await WiredNode.start(server, "n1");
  await using second = await WiredNode.start(server, "n2");
  await edge.knows(2);
  const texts = Array.from({ length: 400 }, () => held);
  const isAtWork = (): boolean => first.seen.length > 0 && second.seen.length > 0;
  const { asked, leaving } = ask(edge, texts);
  await until(isAtWork);
  leaving.abort();
  await assert.rejects(asked, { code: "cancelled" });
  const seen = [...first.seen, ...second.seen];
  await until(() => seen.every(({ signal }) => signal.aborted));
  nothingHeld(edge);

  const late = await ask(edge, texts, { deadlineAtMs: performance.now() + 300 }).asked;
  assert.deepEqual(new Set(late.texts), new Set(["deadline_exceeded"]));
  assert.equal(late.texts.length, texts.length);
  nothingHeld(edge);

  for (const { model } of [first, second]) model.write("release");
  const mine = new Error("mine");
  const onOutcome = (had: number): void => {
    if (had === 30) throw mine;
  };
  await assert.rejects(ask(edge, numbers(400), { onOutcome }).asked, mine);
  nothingHeld(edge);
});

test("the last node is lost: what it had not done fails alone", options, async () => {
  await using server = await NatsServer.start();
  await using edge = await NatsEdge.start({ url: server.url, task });
  await using node = await WiredNode.start(server, "n1");
  await edge.knows(1);
  const { asked } = ask(edge, numbers(400), {
    onOutcome: (had) => {
      if (had === 40) node.wire.sever();
    },
  });
  const { texts } = await asked;
  const lost = texts.filter((text) => text === "worker_lost").length;
  assert.equal(texts.length, 400);
  assert(lost > 0 && lost <= 360, String(lost));
  nothingHeld(edge);
});

test("this server's own pipelines are a node like the others", options, async () => {
  await using server = await NatsServer.start();
  using model = new FakeModel();
  await using fake = new FakeLocal({ model, count: 1 });
  await fake.events.next("loaded");
  const here = { node: "e1", submit: fake.local, serves: (name: string) => name === "fake" };
  const own = { submit: fake.local, name: "e1" };
  await using edge = await NatsEdge.start({ url: server.url, task, here, own });
  await using node = await WiredNode.start(server, "n1");
  await edge.knows(2);
  assert(edge.submit.isWorthLots(requestOf(numbers(600))));
  assert.equal(edge.submit.isWorthLots(requestOf(numbers(20))), false, "not worth a hop");
  const { summary, texts } = await ask(edge, numbers(600)).asked;
  assert.deepEqual(texts, resultsOf(numbers(600)));
  assert.deepEqual(Object.keys(summary.pipelines).sort(), ["e1/p0", "n1/p0"]);
  assert(itemsOf(node) < 600);
  nothingHeld(edge);
});
