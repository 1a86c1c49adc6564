/** ECTrans' clients before real models: its own frames from Python, padded ids, older batches, and those who come late or leave. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Dealer, Subscriber } from "zeromq";
import type { MillraceServer } from "#src/index.js";
import {
  EctransClient,
  type EctransPorts,
  ectransPortsOf,
  translateInPython,
} from "../support/ectrans-client.js";
import { getStatus, startReal, translate, until } from "../support/real-server.js";

const limit = { timeout: 60_000 };
const withoutZmq = (): string | false =>
  spawnSync("/usr/bin/python3", ["-c", "import zmq"]).status === 0
    ? false
    : "/usr/bin/python3 has no zmq (python3-zmq)";

let server: MillraceServer;
let ports: EctransPorts;

before(async () => {
  server = await startReal({ pipelines: 1, zmqPort: 0, zmqPortOut: 0 });
  ports = ectransPortsOf(server);
});

after(() => server.close());

const sentence = (index: number): string => `I have ${index} books.`;
const some = (count: number): string[] => Array.from({ length: count }, (_, at) => sentence(at));

const known = new Map<string, string>();

/** Over the native route; each text once, for the model is a real one. */
async function natively(texts: readonly string[]): Promise<string[]> {
  const unknown = texts.filter((text) => !known.has(text));
  if (unknown.length > 0) {
    const { results } = await translate(server.url, { texts: unknown });
    for (const [at, each] of results.entries()) {
      known.set(unknown[at] ?? "", "text" in each ? each.text : each.error.code);
    }
  }
  return texts.map((text) => known.get(text) ?? "");
}

describe("a client in Python", { skip: withoutZmq() }, () => {
  test("REQ: a task in parts, in order, the key first and no spaces", limit, async () => {
    const texts = some(36);
    const task = { socket: "REQ", style: "task", tid: 1_630_303_041_986_001, texts } as const;
    const { replies, results, heads } = await translateInPython(ports, task);
    assert.deepEqual(replies, ["OK"]);
    assert.deepEqual(results, await natively(texts));
    assert.deepEqual(
      heads.map((head) => head.slice(0, 40)),
      [0, 1].map((part) => `{"client_id":"1630303041986001_${part}","result":["`.slice(0, 40)),
    );
  });

  test(
    "DEALER without a delimiter, and a subscriber that comes when all is done",
    limit,
    async () => {
      const texts = some(3);
      const task = { socket: "DEALER", style: "task", tid: 1_630_303_041_986_002, texts } as const;
      const { replies, results } = await translateInPython(ports, { ...task, late: 0.5 });
      assert.deepEqual([replies, results], [["OK"], await natively(texts)]);
    },
  );

  test(
    "an older client: batch by batch, each result under the name of its batch",
    limit,
    async () => {
      const texts = some(12);
      const task = { socket: "REQ", style: "batches", tid: 1_630_303_041_986_003, texts } as const;
      const { replies, results, heads } = await translateInPython(ports, { ...task, batch: 5 });
      assert.deepEqual(replies, ["OK", "OK", "OK"]);
      assert.deepEqual(results, await natively(texts));
      assert.deepEqual(
        heads.map((head) => head.slice(0, 34)),
        [0, 1, 2].map((batch) => `{"id":"1630303041986003_${batch}","result"`.slice(0, 34)),
      );
    },
  );
});

test("docs/clients/ectrans.md: its snippet", { ...limit, skip: withoutZmq() }, async () => {
  const page = readFileSync("docs/clients/ectrans.md", "utf8");
  const [, program = ""] = /<!-- snippet -->\s*```python\n(.*?)```/s.exec(page) ?? [];
  assert.ok(program.includes("127.0.0.1:5550") && program.includes("127.0.0.1:5560"));
  const here = program
    .replace("127.0.0.1:5550", `127.0.0.1:${ports.port}`)
    .replace("127.0.0.1:5560", `127.0.0.1:${ports.portOut}`);
  const { stdout, stderr } = await promisify(execFile)("/usr/bin/python3", ["-c", here]);
  assert.equal(stderr, "");
  assert.match(stdout, /^OK\n\['\p{Script=Han}[^']*', '\p{Script=Han}[^']*'\]\n$/u);
});

/** Of the bundled model. */
const padTokenId = 2;

async function idsOf(texts: readonly string[]): Promise<number[][]> {
  const response = await fetch(`${server.url}/v1/tokenize`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "en-zh", texts }),
  });
  const { results } = (await response.json()) as {
    readonly results: readonly { readonly tokens: readonly { readonly id: number }[] }[];
  };
  return results.map(({ tokens }) => tokens.map(({ id }) => id));
}

/** What is subscribed to, and what arrives there. */
function subscribed(topic: string): Subscriber {
  const subscriber = new Subscriber({ linger: 0, receiveTimeout: 50_000 });
  subscriber.subscribe(topic);
  subscriber.connect(`tcp://127.0.0.1:${ports.portOut}`);
  return subscriber;
}

describe("from Node", () => {
  test("token ids, padded to one width, are what their texts are", limit, async () => {
    const texts = some(3).concat("Yes.");
    const ids = await idsOf(texts);
    const width = Math.max(...ids.map((each) => each.length)) + 2;
    assert.ok(
      ids.some((each) => each.length < width - 2),
      "of several lengths",
    );
    const padded = ids.map((each) => [...each, ...Array(width - each.length).fill(padTokenId)]);
    using client = new EctransClient(ports);
    const { reply, results } = await client.translate(padded);
    assert.deepEqual([reply, results], ["OK", await natively(texts)]);
    const rows = [padded[0], Array(width).fill(padTokenId), [6_000, padTokenId], padded[1]];
    const answer = await client.translate(rows);
    assert.deepEqual(answer.results, [results[0], "", "", results[1]]);
    assert.deepEqual(
      [...answer.errors],
      [
        [1, "input_empty"],
        [2, "token_out_of_range"],
      ],
    );
  });

  test("what is refused ends the wait of whoever sent it", limit, async () => {
    using client = new EctransClient(ports);
    const bad: readonly [texts: unknown, more: object, code: string][] = [
      [["a", 1], {}, "bad_request"],
      [["a", ["b"]], {}, "bad_request"],
      [["a"], { key: 1 }, "bad_request"],
      [["a", "\ud800"], {}, "bad_encoding"],
      [["a", "b"], { model: "nobody" }, "model_not_found"],
      [Array(10_001).fill(""), {}, "too_many_items"],
    ];
    for (const [texts, more, code] of bad) {
      const { reply, results, error } = await client.translate(texts as unknown[], { ...more });
      assert.equal(reply.split(": ")[0], code);
      assert.ok(results.every((text) => text === ""));
      assert.equal(error?.code, code);
      assert.ok(reply.startsWith(`${code}: ${error.message.slice(0, 100)}`));
    }
    const malformed: readonly [message: string, says: RegExp][] = [
      ["", /JSON/],
      ["[]", /JSON object/],
      ["{}", /`tid` is missing/],
      ['{"tid": 1.5, "texts": []}', /`tid` is missing/],
      ['{"tid": 9007199254740993, "texts": []}', /`tid` is missing/],
      [`{"tid": "a\\"b", "texts": ["a"]}`, /`tid` is missing/],
      ['{"tid": 7, "texts": "a", "length": 1000000000}', /`texts` must be a list/],
      ['{"tid": 8, "texts": ["a"], "length": 2}', /`length` is not that/],
      [`${"[".repeat(5_000)}`, /JSON/],
    ];
    for (const [message, says] of malformed) {
      const reply = await client.exchange(message);
      assert.match(reply, /^bad_request: /);
      assert.match(reply, says);
    }
    assert.equal((await client.translate(["Yes."])).reply, "OK", "and a good one is taken");
  });

  test("an older client may subscribe to either name", limit, async () => {
    const subscriber = subscribed('{"client_id":"77');
    using client = new EctransClient(ports);
    assert.equal(await client.exchange({ id: "77_0", texts: ["Yes."] }), "OK");
    const [frame] = await subscriber.receive();
    const wanted = JSON.stringify({ client_id: "77_0", result: await natively(["Yes."]) });
    assert.equal(frame?.toString(), wanted);
    subscriber.close();
  });

  test("how long a task took, to who subscribed to that", limit, async () => {
    const subscriber = subscribed('{"utime":');
    using client = new EctransClient(ports);
    let isThere = false;
    const told = subscriber.receive().finally(() => {
      isThere = true;
    });
    // Nobody waits for this subscription: it is there when the server has heard of it.
    while (!isThere) await client.translate(["Yes."]);
    const [frame] = await told;
    const { utime } = JSON.parse(frame?.toString() ?? "") as { readonly utime: readonly number[] };
    assert.equal(utime.length, 2);
    assert.ok(utime.every((ms) => Number.isFinite(ms) && ms >= 0));
    assert.match(frame?.toString() ?? "", /^\{"utime":\[[\d.]+,[\d.]+\]\}$/);
    subscriber.close();
  });

  test("many tasks at once, of several sizes", limit, async () => {
    const wanted = await natively(some(36));
    await Promise.all(
      [1, 2, 3, 4, 5, 6, 7, 8, 36, 1, 2, 3].map(async (size) => {
        using client = new EctransClient(ports);
        const { results, parts } = await client.translate(some(size));
        assert.deepEqual(results, wanted.slice(0, size));
        const names = parts.map((name) => Number(name.split("_")[1]));
        assert.deepEqual(names, [...names.keys()], "in order, from 0");
      }),
    );
  });

  test("batches of one task are published in the order in which they came", limit, async () => {
    const subscriber = subscribed('{"id":"78');
    const dealer = new Dealer({ linger: 0 });
    dealer.connect(`tcp://127.0.0.1:${ports.port}`);
    // The long one is done last.
    const batches = [some(12), ["Yes."], ["No."], "no list"];
    for (const [at, texts] of batches.entries()) {
      await dealer.send(JSON.stringify({ id: `78_${at}`, texts }));
    }
    const names: unknown[] = [];
    while (names.length < batches.length) {
      const [frame] = await subscriber.receive();
      names.push((JSON.parse(frame?.toString() ?? "") as { readonly id: string }).id);
    }
    assert.deepEqual(names, ["78_0", "78_1", "78_2", "78_3"]);
    dealer.close();
    subscriber.close();
  });

  test("nothing is left of them", limit, async () => {
    await until(async () => (await getStatus(server.url)).requests.active === 0);
  });
});

test("a message that is too large is refused, and its results are empty", limit, async () => {
  await using small = await startReal({
    pipelines: 1,
    zmqPort: 0,
    zmqPortOut: 0,
    bodyBytesMax: 2_048,
  });
  using client = new EctransClient(ectransPortsOf(small));
  const { reply, results, error } = await client.translate(Array(200).fill("a long text of many"));
  assert.match(reply, /^body_too_large: /);
  assert.equal(results.length, 200);
  assert.equal(error?.code, "body_too_large");
});
