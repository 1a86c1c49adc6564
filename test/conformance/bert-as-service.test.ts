/** bert-as-service's clients over ZeroMQ and over HTTP: recorded frames, a client in Python, and the same frames from Node. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import {
  type EmbedRequest,
  type EmbedResponse,
  type EmbedResult,
  MillraceError,
} from "millrace-client/wire";
import { type Access, openAccess } from "#src/access/access.js";
import { type CreateServerOptions, createServer, type MillraceServer } from "#src/index.js";
import { anyCaller } from "#src/work/caller.js";
import {
  type BertPorts,
  BertSockets,
  bertPortsOf,
  PythonClients,
  type PythonReply,
  runBertProgram,
  withoutPython,
} from "../support/bert-clients.js";
import { BertListener } from "../support/bert-listener.js";
import { encoderWidth, writeMadeEncoder } from "../support/made-encoder.js";
import { getStatus, pidsOf, until } from "../support/real-server.js";
import { millrace, ServeProcess } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

interface Started extends AsyncDisposable {
  readonly server: MillraceServer;
  readonly ports: BertPorts;
  readonly lines: readonly string[];
}

let temp: TempDir;
let common: Started;
const skip = withoutPython();

before(async () => {
  temp = await TempDir.make();
  await writeMadeEncoder(temp.file("made"), { inputTokensMax: 64 });
  await writeMadeEncoder(temp.file("slow"), { work: 40 });
  common = await start({ bertShowTokensToClient: true, bertHttp: true });
});

after(async () => {
  await common.server.close();
  await temp[Symbol.asyncDispose]();
});

async function start(options: CreateServerOptions = {}): Promise<Started> {
  const lines: string[] = [];
  const server = await createServer({
    models: temp.path,
    port: 0,
    bertPort: 0,
    bertPortOut: 0,
    bertModel: "made",
    pipelines: 1,
    threads: 1,
    restartBackoffMs: 10,
    log: "json",
    logDestination: { write: (line) => void lines.push(line) },
    ...options,
  });
  const dispose = async (): Promise<void> => void (await server.close());
  return { server, ports: bertPortsOf(lines), lines, [Symbol.asyncDispose]: dispose };
}

/** Rows as the native route has them, one after the other. */
async function natively({ server }: Started, request: EmbedRequest): Promise<number[]> {
  const response = await fetch(`${server.url}/v1/embed`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "made", normalize: false, layer: -2, ...request }),
  });
  const { results } = (await response.json()) as EmbedResponse;
  const numbers = results.flatMap((each) => ((each as EmbedResult).embedding as number[]).flat());
  // JSON has them with as few digits as tell a float32.
  return [...Float32Array.from(numbers)];
}

function floats({ data = "" }: PythonReply): number[] {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  return [...new Float32Array(bytes.buffer)];
}

function hashOf(data: Float32Array): string {
  return createHash("sha256").update(new Uint8Array(data.buffer)).digest("hex");
}

describe("recorded frames", () => {
  interface Recorded {
    readonly name: string;
    readonly request: readonly string[];
    readonly reply: readonly string[] | null;
    /** False: the last bit depends on the order of a sum. */
    readonly isExact: boolean;
  }
  const recorded = JSON.parse(
    readFileSync("test/fixtures/bert-as-service.json", "utf8"),
  ) as Recorded[];
  const infoOf = (frame: Buffer | undefined): unknown => JSON.parse(frame?.toString() ?? "");

  test("each is answered to the byte", async () => {
    const identity = Buffer.from(recorded[0]?.request[0] ?? "", "hex").toString();
    using sockets = new BertSockets(common.ports, identity);
    for (const { name, request, reply, isExact } of recorded) {
      const sent = request.map((frame) => Buffer.from(frame, "hex"));
      await sockets.sendFrames(sent);
      const frames = await sockets.receive();
      assert.deepEqual(frames[0], sent[0], name);
      assert.deepEqual(frames.at(-1), sent[2], name);
      if (reply === null) {
        assert.equal(frames.length, 3, name);
        continue;
      }
      const expected = reply.map((frame) => Buffer.from(frame, "hex"));
      assert.equal(frames.length, 4, name);
      assert.deepEqual(infoOf(frames[1]), infoOf(expected[1]), name);
      const [, , data = Buffer.alloc(0)] = frames;
      const [, , wanted = Buffer.alloc(0)] = expected;
      if (isExact) assert.equal(data.toString("hex"), wanted.toString("hex"), name);
      assert.equal(data.length, wanted.length, name);
      for (let at = 0; at < data.length; at += 4) {
        const apart = data.readFloatLE(at) - wanted.readFloatLE(at);
        assert.ok(Math.abs(apart) < 1e-6, name);
      }
    }
  });
});

test("attack: a reply that padding would make too large is refused before anything is run", async () => {
  const options = { bertPoolingStrategy: "NONE", bertMaxSeqLen: 1_000_000 } as const;
  const own = { ...options, bertModel: "made", zmqRepliesBytesMax: 2 ** 24 };
  await using front = await BertListener.over(common.server, own);
  using sockets = new BertSockets(front.ports);
  const before = (await getStatus(common.server.url)).items.accepted;
  const { dtype } = await sockets.encode(["hello", "a"]);
  assert.match(dtype, /^too_many_items: the reply would have 32000000 bytes; at most 16777216/);
  assert.equal((await getStatus(common.server.url)).items.accepted, before);
  assert.deepEqual((await sockets.encode(["hello"])).shape, [1, 1_000_000, encoderWidth]);
});

test("configuration and status have every key of the original", async () => {
  using sockets = new BertSockets(common.ports);
  const config = await sockets.config();
  const keys =
    "client,num_process,ventilator -> worker,worker -> sink,ventilator <-> sink,server_current_time,device_map,num_concurrent_socket,ckpt_name,config_name,cors,cpu,do_lower_case,fixed_embed_length,fp16,gpu_memory_fraction,graph_tmp_dir,http_max_connect,http_port,mask_cls_sep,max_batch_size,max_seq_len,model_dir,no_position_embeddings,no_special_token,num_labels,num_worker,pooling_layer,pooling_strategy,port,port_out,prefetch_size,priority_batch_size,show_tokens_to_client,tuned_model_dir,verbose,xla,tensorflow_version,python_version,server_version,pyzmq_version,zmq_version,server_start_time";
  assert.deepEqual(
    keys.split(",").filter((key) => !(key in config)),
    [],
  );
  const { server_version, max_seq_len, pooling_strategy, pooling_layer, client } = config;
  assert.deepEqual(
    [server_version, max_seq_len, pooling_strategy, pooling_layer, client],
    ["1.10.0", 25, 2, [-2], sockets.identity],
  );
  await sockets.encode(["hello", "a b"]);
  const { statistic } = await sockets.config("SHOW_STATUS");
  const told = statistic as Readonly<Record<string, number>>;
  for (const of of ["request_per_client", "size_per_request", "last_two_interval"]) {
    for (const what of ["avg", "min", "max", "num_min", "num_max"]) {
      assert.equal(typeof told[`${what}_${of}`], "number", `${what}_${of}`);
    }
  }
  const { num_data_request = 0, num_sys_request = 0, num_total_request } = told;
  assert.equal(num_total_request, num_data_request + num_sys_request);
  assert.ok((told["num_active_client"] ?? 0) >= 1);
});

test("every pooling strategy has the native route's numbers, bit by bit", async () => {
  const texts = ["hello world a", "good ||| bad a b", "b"];
  const native = ["hello world a", ["good", "bad a b"], "b"] as const;
  const strategies = {
    REDUCE_MEAN: "mean",
    REDUCE_MAX: "max",
    REDUCE_MEAN_MAX: "mean-max",
    CLS_TOKEN: "cls",
    LAST_TOKEN: "sep",
  } as const;
  for (const [name, pooling] of Object.entries(strategies)) {
    const bertPoolingStrategy = name as keyof typeof strategies;
    const options = { bertModel: "made", bertPoolingStrategy, bertMaskClsSep: true };
    await using front = await BertListener.over(common.server, options);
    using sockets = new BertSockets(front.ports);
    const maskSpecial = name.startsWith("REDUCE");
    const expected = await natively(common, { texts: native, pooling, maskSpecial });
    const reply = await sockets.encode(texts);
    const width = (pooling === "mean-max" ? 2 : 1) * encoderWidth;
    assert.deepEqual(reply.shape, [3, width]);
    assert.equal(reply.tokens, "");
    assert.deepEqual([...reply.data], expected, name);
  }
});

test("without pooling rows are as long as the longest, as max_seq_len, or as the model takes", async () => {
  const cases = [
    [{ bertMaxSeqLen: 0 }, 5],
    [{ bertMaxSeqLen: 8 }, 8],
    [{ bertMaxSeqLen: 0, bertFixedEmbedLength: true }, 64],
    [{ bertMaxSeqLen: 0, bertMaskClsSep: true }, 5],
  ] as const;
  for (const [own, length] of cases) {
    const options = { ...own, bertModel: "made", bertPoolingStrategy: "NONE" } as const;
    await using front = await BertListener.over(common.server, options);
    using sockets = new BertSockets(front.ports);
    const { shape, data } = await sockets.encode(["hello world a", "b"]);
    assert.deepEqual(shape, [2, length, encoderWidth]);
    const rows = await natively(common, { texts: ["hello world a", "b"], pooling: "none" });
    for (const row of "bertMaskClsSep" in own ? [0, 4, 5, 7] : []) {
      rows.fill(0, row * encoderWidth, (row + 1) * encoderWidth);
    }
    const padding = (tokens: number): number[] =>
      Array<number>((length - tokens) * encoderWidth).fill(0);
    const first = rows.slice(0, 5 * encoderWidth);
    const second = rows.slice(5 * encoderWidth);
    assert.deepEqual([...data], [...first, ...padding(5), ...second, ...padding(3)]);
  }
});

describe("the client in Python", { skip }, () => {
  test("a hundred fresh clients connect and encode, none loses its reply", async () => {
    await using python = new PythonClients();
    const order = { ...common.ports, count: 100, threads: 8, texts: ["hello world"] };
    const { answered, failed, hashes } = await python.obey("fresh", order);
    using sockets = new BertSockets(common.ports);
    const { data } = await sockets.encode(["hello world"]);
    assert.deepEqual(
      { answered, failed, hashes },
      { answered: 100, failed: [], hashes: [hashOf(data)] },
    );
  });

  test("without waiting: answers by their request ids, tokens shown, one identity for two", async () => {
    await using python = new PythonClients();
    const identity = "shared#@1";
    for (const name of ["a", "b"]) {
      const { config } = await python.obey("open", { name, identity, ...common.ports });
      // The one that came later reads the earlier one's configuration too, as it does there.
      assert.equal(config?.["server_version"], "1.10.0");
    }
    const { id: first = 0 } = await python.obey("send", { name: "a", texts: ["hello"] });
    const { id: second = 0 } = await python.obey("send", { name: "a", texts: [["a", "b"]] });
    const { replies = {} } = await python.obey("fetch", { name: "a", ids: [second, first] });
    const expected = await natively(common, { texts: ["hello"], pooling: "mean" });
    assert.deepEqual(floats(replies[first] ?? {}), expected);
    assert.deepEqual(replies[second]?.tokens, [["[CLS]", "a", "b", "[SEP]"]]);
    const status = await python.obey("status", { name: "b" });
    assert.ok("status" in status);
    await python.obey("close", { name: "a" });
    await python.obey("close", { name: "b" });
  });

  test("many clients at once, and more texts than a batch has", async () => {
    await using python = new PythonClients();
    const texts = Array.from({ length: 300 }, (_, index) => `hello ${index % 2 === 0 ? "a" : "b"}`);
    const order = { ...common.ports, clients: 4, rounds: 2, texts };
    const { answered, failed, hashes } = await python.obey("threads", order);
    const expected = await natively(common, { texts, pooling: "mean" });
    const hash = hashOf(Float32Array.from(expected));
    assert.deepEqual({ answered, failed, hashes }, { answered: 8, failed: [], hashes: [hash] });
  });

  test("the snippet of its page", async () => {
    const page = readFileSync("docs/clients/bert-as-service.md", "utf8");
    const [, program = ""] = /<!-- client -->\s*```python\n(.*?)```/s.exec(page) ?? [];
    const { port, portOut } = common.ports;
    const here = program.replace("5555", String(port)).replace("5556", String(portOut));
    assert.notEqual(here, program);
    assert.equal(await runBertProgram(here), "(3, 4)\n");
  });

  test("an error is an exception, and the client goes on", async () => {
    await using python = new PythonClients();
    await python.obey("open", { name: "a", ...common.ports });
    const bad = await python.obey("encode", { name: "a", texts: ["hello", "nan, as a word"] });
    assert.equal(bad.error, "TypeError");
    assert.match(
      bad.message ?? "",
      /^data type ["']item_failed: text 1: .* finite numbers["'] not understood$/,
    );
    const good = await python.obey("encode", { name: "a", texts: ["hello"] });
    assert.deepEqual(good.shape, [1, encoderWidth]);
  });
});

test("what makes no sense is told where somebody can be told, else counted", async () => {
  using sockets = new BertSockets(common.ports);
  const { identity } = sockets;
  const cases: readonly (readonly [readonly (string | Buffer)[], RegExp])[] = [
    [[identity, "[]", "1", "0"], /^input_empty/],
    [[identity, '["a", 1]', "1", "2"], /^bad_request: text 1 is neither/],
    [[identity, '["a"', "1", "1"], /^bad_request: the message is neither a JSON list/],
    [[identity, "SHOW_EVERYTHING", "1", "0"], /command that is known/],
    [[identity, '{"texts":[]}', "1", "1"], /^bad_request/],
    [[identity, Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]), "1", "1"], /^bad_encoding/],
    [[identity, '["a"]', "one", "1"], /digits/],
    [[identity, '["a"]', "1", ""], /digits/],
    [[identity], /has 4 frames; this message has 1/],
    [[identity, '["a"]', "1", "1", "more"], /has 4 frames; this message has 5/],
  ];
  for (const [frames, pattern] of cases) {
    await sockets.sendFrames(frames);
    const { dtype, shape, data } = await sockets.reply();
    assert.match(dtype, pattern);
    assert.doesNotMatch(dtype, /,/);
    assert.deepEqual([shape, data.length], [[0], 0]);
  }
  await sockets.sendFrames(["", '["a"]', "1", "1"]);
  await sockets.sendFrames([Buffer.alloc(2_000, 1), '["a"]', "1", "1"]);
  await sockets.sendFrames(["0", "TERMINATION", "0", "0"]);
  await sockets.sendFrames(Array<string>(100).fill("x"));
  const dropped = await until(async () => {
    const metrics = await (await fetch(`${common.server.url}/metrics`)).text();
    const found = metrics.match(/^millrace_messages_dropped_total\{.*(?:malformed|refused).*$/gm);
    return found?.some((line) => line.endsWith(" 3")) === true && found;
  });
  assert.deepEqual(dropped.map((line) => line.replace(/^.*reason="(\w+)".* /, "$1 ")).toSorted(), [
    "malformed 3",
    "refused 1",
  ]);
  assert.deepEqual((await sockets.encode(["hello"])).shape, [1, encoderWidth]);
});

test("a full queue, a deadline and a model that is not there are told at once", async () => {
  const many = Array<string>(2_000).fill("hello world a b");
  {
    const own = { zmqRequestsMax: 1, bertModel: "slow" };
    await using full = await BertListener.over(common.server, own);
    using sockets = new BertSockets(full.ports);
    await sockets.send(many, "2000");
    await sockets.send(["hello"]);
    const { id, dtype } = await sockets.reply();
    assert.equal(id, 2, "while the first one is under way");
    assert.match(dtype, /^queue_full/);
  }
  {
    const own = { requestTimeoutMsDefault: 300, bertModel: "slow" };
    await using hurried = await BertListener.over(common.server, own);
    using sockets = new BertSockets(hurried.ports);
    await sockets.send(many, "2000");
    assert.match((await sockets.reply()).dtype, /^deadline_exceeded/);
  }
  await using nothing = await BertListener.over(common.server, { bertModel: "nothing" });
  using lost = new BertSockets(nothing.ports);
  assert.match((await lost.encode(["a"])).dtype, /^model_not_found/);
});

test("a client that leaves costs no further run; one that shares its identity keeps it", async () => {
  await using front = await BertListener.over(common.server, { bertModel: "slow" });
  const { url } = common.server;
  const before = (await getStatus(url)).items;
  using staying = new BertSockets(front.ports, "shared");
  const leaving = new BertSockets(front.ports, "alone");
  await staying.config();
  await leaving.config();
  const sharing = new BertSockets(front.ports, "shared");
  await sharing.config();
  await leaving.send(Array<string>(2_000).fill("hello world a b"), "2000");
  await until(async () => (await getStatus(url)).items.accepted >= before.accepted + 2_000);
  leaving[Symbol.dispose]();
  sharing[Symbol.dispose]();
  const { items } = await until(async () => {
    const status = await getStatus(url);
    return status.requests.active === 0 && status;
  });
  assert.ok(items.cancelled > before.cancelled, JSON.stringify(items));
  const id = await staying.send(["hello"]);
  const reply = await until(async () => {
    const frames = await staying.receive();
    return Number(frames.at(-1)) === id && frames.length === 4 && frames;
  });
  assert.match(reply[1]?.toString() ?? "", /"dtype":"float32"/);
});

test("keys: an identity begins with one, whoever has none is told so in every way", async () => {
  const access: Access = {
    ...openAccess,
    isOpen: false,
    callerOf: (credential) => {
      if (credential === "mr_good") return { ...anyCaller, isAdmin: false };
      throw new MillraceError("unauthenticated", "no key, or none that is known");
    },
  };
  let terminations = 0;
  const terminate = (): void => void (terminations += 1);
  const options = { bertModel: "made", bertTerminate: true };
  await using front = await BertListener.over(common.server, options, { access, terminate });
  for (const identity of ["mr_good", "mr_good.1"]) {
    using sockets = new BertSockets(front.ports, identity);
    assert.equal((await sockets.config())["server_version"], "1.10.0");
    assert.deepEqual((await sockets.encode(["hello"])).shape, [1, encoderWidth]);
    await sockets.send("TERMINATION", "0");
  }
  using stranger = new BertSockets(front.ports, "mr_goodness.1");
  assert.match(String((await stranger.config())["server_version"]), /^unauthenticated: /);
  assert.match((await stranger.encode(["hello"])).dtype, /^unauthenticated: /);
  await until(() => front.counted.filter((each) => each === "dropped refused").length === 2);
  assert.equal(terminations, 0);
});

test("pipelines that are killed meanwhile lose no reply", async () => {
  await using started = await start({ bertModel: "slow", pipelines: 2, attemptsMax: 8 });
  const { url } = started.server;
  const clients = Array.from({ length: 4 }, () => new BertSockets(started.ports));
  const encoding = clients.map((client) => client.encode(Array<string>(40).fill("hello world")));
  for (let kills = 0; kills < 2; kills += 1) {
    const victim = await until(async () => {
      const status = await getStatus(url);
      const busy = status.pipelines.filter(({ items }) => items.inFlight > 0);
      return pidsOf({ ...status, pipelines: busy })[0] ?? null;
    });
    process.kill(victim, "SIGKILL");
  }
  const replies = await Promise.all(encoding);
  assert.deepEqual(
    replies.map(({ shape, dtype }) => [dtype, ...shape]),
    clients.map(() => ["float32", 40, encoderWidth]),
  );
  assert.equal(new Set(replies.map(({ data }) => hashOf(data))).size, 1);
  for (const client of clients) client[Symbol.dispose]();
});

test("TERMINATION stops the server where that is allowed, and what it has is finished first", async () => {
  const flags = ["--models", temp.file("slow"), "--pipelines", "1", "--threads", "1"];
  const ports = ["--bert-port", "0", "--bert-port-out", "0", "--bert-terminate"];
  await using serve = new ServeProcess(millrace, ...flags, ...ports);
  const ready = await serve.logged("ready");
  using sockets = new BertSockets(bertPortsOf([JSON.stringify(ready)]));
  await sockets.send(Array<string>(100).fill("hello world"), "100");
  await until(async () => (await getStatus(String(ready["http"]))).items.accepted === 100);
  await sockets.sendFrames(["0", "TERMINATION", "0", "0"]);
  await serve.logged("draining");
  await sockets.send(["hello"]);
  const replies = [await sockets.reply(), await sockets.reply()];
  assert.deepEqual(replies.map(({ dtype, id }) => `${id} ${dtype.split(":", 1)[0]}`).toSorted(), [
    "1 float32",
    "2 draining",
  ]);
  assert.deepEqual(await serve.exited, [0, null]);
});

test("over HTTP: both names of the result, forms, errors in its words, pages of any origin", async () => {
  const { url } = common.server;
  const encode = (init: RequestInit): Promise<Response> =>
    fetch(`${url}/encode`, { method: "POST", ...init });
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ id: 123, texts: ["hello world", "a"], is_tokenized: false });
  const response = await encode({ headers, body });
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
  const { id, result, results, status } = (await response.json()) as Record<string, unknown>;
  assert.deepEqual([id, status, result], [123, 200, results]);
  const expected = await natively(common, { texts: ["hello world", "a"], pooling: "mean" });
  assert.deepEqual([...Float32Array.from((result as number[][]).flat())], expected);
  const form = await encode({ body: new URLSearchParams({ id: "x", texts: "hello world" }) });
  const ofForm = ((await form.json()) as { result: unknown }).result;
  assert.deepEqual(ofForm, (result as number[][]).slice(0, 1));
  const wrong = await encode({ headers, body: '{"texts":["a"]}' });
  const told = (await wrong.json()) as Record<string, unknown>;
  assert.deepEqual(
    [wrong.status, told["status"], Object.keys(told).toSorted()],
    [400, 400, ["description", "status", "type"]],
  );
  const asked = await fetch(`${url}/encode`, {
    method: "OPTIONS",
    headers: { origin: "http://x" },
  });
  assert.equal(asked.headers.get("access-control-allow-origin"), "*");
  const server = (await (await fetch(`${url}/status/server`)).json()) as Record<string, unknown>;
  assert.equal(
    typeof (server["statistic"] as Record<string, unknown>)["num_data_request"],
    "number",
  );
  const client = (await (await fetch(`${url}/status/client`)).json()) as Record<string, unknown>;
  assert.deepEqual(Object.keys(client), [
    "identity",
    "num_request",
    "num_pending_request",
    "pending_request",
    "output_fmt",
    "port",
    "port_out",
    "server_ip",
    "client_version",
    "timeout",
    "status",
  ]);
});
