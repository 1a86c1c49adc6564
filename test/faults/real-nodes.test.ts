/** `millrace serve` as a deployment of real processes: nodes that are stopped, killed and started under load. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Millrace, MillraceError } from "millrace-client";
import { FakeModels } from "../support/fake-models.js";
import { isLong } from "../support/long.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { ServeProcess } from "../support/serve-process.js";

const serveFake: string = fileURLToPath(new URL("../support/serve-fake.js", import.meta.url));

interface Served {
  readonly nats: NatsServer;
  readonly models: FakeModels;
  readonly role: "edge" | "node";
}

function serve(name: string, { nats, role, models }: Served): ServeProcess {
  const flags = ["--nats", nats.url, "--role", role, "--node", name, "--models", models.dir];
  return new ServeProcess(serveFake, ...flags, "--pipelines", "1");
}

/** The next time that the edge hears of so many servers, or loses them. */
async function hears(
  edge: ServeProcess,
  what: "there" | "gone",
  ...names: readonly string[]
): Promise<void> {
  const waiting = new Set(names);
  while (waiting.size > 0) waiting.delete(String((await edge.logged(`a node is ${what}`))["node"]));
}

test("NATS that is down keeps nobody from starting; nodes that are stopped and killed lose nothing and double nothing", {
  timeout: 120_000,
  skip: skipWithoutNats,
}, async () => {
  using models = new FakeModels();
  await using nats = await NatsServer.start();
  await nats.stop();
  await using edge = serve("e1", { nats, models, role: "edge" });
  await using first = serve("n1", { nats, models, role: "node" });
  await using second = serve("n2", { nats, models, role: "node" });
  const [edgeUrl, nodeUrl] = await Promise.all([edge.url(), first.url(), second.url()]);
  await using client = new Millrace(edgeUrl, { retry: { attemptsMax: 1 } });
  assert.equal((await client.ready()).ready, false);
  await assert.rejects(client.translate(["one"]), (error) => {
    assert(error instanceof MillraceError);
    assert.equal(error.code, "not_ready");
    return /NATS is away/.test(error.message);
  });
  await nats.start();
  await hears(edge, "there", "e1", "n1", "n2");
  const found = await client.nodes();
  assert.equal(found.nats, "connected");
  assert.deepEqual(found.nodes.map(({ node }) => node).sort(), ["e1", "n1", "n2"]);
  assert.equal((await client.ready()).ready, true);
  await using atNode = new Millrace(nodeUrl, { retry: { attemptsMax: 1 } });
  await assert.rejects(atNode.translate(["one"]), { code: "not_found" });
  assert.equal((await atNode.ready()).ready, true);
  // It sends nothing to others, and hears of none.
  assert.deepEqual(
    (await atNode.nodes()).nodes.map(({ node }) => node),
    ["n1"],
  );

  const texts = Array.from({ length: 6 }, (_, at) => `sentence ${at} of a text`);
  const translated = async (): Promise<string> => {
    const { results } = await client.translate(texts);
    return JSON.stringify(results.map((each) => ("text" in each ? each.text : each)));
  };
  const expected = await translated();
  const rounds = isLong ? 60 : 6;
  let answered = 0;
  let tell: () => void = () => {};
  const isUnderWay = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const ask = async (): Promise<void> => {
    assert.equal(await translated(), expected);
    answered += 1;
    if (answered === 2 * rounds) tell();
  };
  // Enough that both nodes have some of it in them at any time.
  const askers = Array.from({ length: 8 }, async () => {
    for (let round = 0; round < rounds; round += 1) await ask();
  });
  await Promise.race([isUnderWay, Promise.all(askers)]);
  // As if its network were cut: its connections stay, and it says nothing.
  process.kill(first.pid, "SIGSTOP");
  await hears(edge, "gone", "n1");
  process.kill(first.pid, "SIGCONT");
  await hears(edge, "there", "n1");
  process.kill(second.pid, "SIGKILL");
  await Promise.all([...askers, hears(edge, "gone", "n2")]);
  assert.equal(answered, 8 * rounds);
  const status = await client.status();
  assert.equal(status.items.done, (1 + 8 * rounds) * texts.length);
  assert.equal(status.items.failed, 0);
  const metrics = await (await fetch(`${edgeUrl}/metrics`)).text();
  assert.match(metrics, /^millrace_node_ready\{node="n1",role="node"\} 1$/m);
  assert.match(metrics, /^millrace_node_items_total\{node="n1"\} [1-9]/m);
  const { nodes } = await client.nodes();
  assert.deepEqual(nodes.map(({ node }) => node).sort(), ["e1", "n1"]);
  // A job: the node that is left runs it and hears nothing of it else, the edge ends it.
  const { id } = await client.jobs.submit(texts, { task: "translate" });
  const ended = await client.jobs.wait(id);
  assert.deepEqual([ended.state, ended.succeeded], ["completed", texts.length]);
});
