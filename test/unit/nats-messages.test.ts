import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { TailWriter } from "#src/frames/tail.js";
import { encodeBeats, readBeat } from "#src/nats/beats.js";
import { Conversation, type ReceivedMessage } from "#src/nats/conversation.js";
import {
  type AskMessage,
  encodeAsk,
  encodeDone,
  encodeFailed,
  encodeOutcomes,
  readAnswer,
  readAsk,
} from "#src/nats/messages.js";
import { encodeEntry, type NodeEntry, readEntry } from "#src/nats/node-entry.js";
import { encodePart, readPart, type WirePart } from "#src/nats/parts.js";
import { makeInstance, readBack, subjectsOf } from "#src/nats/subjects.js";
import { NamedTensors } from "#src/work/tensors.js";

interface End {
  readonly conversation: Conversation;
  readonly got: ReceivedMessage[];
  readonly broken: unknown[];
  waiting: number;
}

/** Two ends with a wire between that a test may drop, change or hold parts on. */
function pair(
  carry: (part: WirePart, deliver: (part: WirePart) => void) => void = (part, deliver) =>
    deliver(part),
  announced: (bytes: number) => boolean = () => true,
): readonly [End, End] {
  const ends: End[] = [];
  const make = (at: number): End => {
    const got: ReceivedMessage[] = [];
    const broken: unknown[] = [];
    const end: End = {
      got,
      broken,
      waiting: 0,
      conversation: new Conversation({
        publish: (bytes) => {
          const part = readPart(bytes);
          assert(part !== null);
          carry(part, (given) => {
            if (given.kind === "part" || given.kind === "credit")
              ends[1 - at]?.conversation.receive(given);
          });
          return true;
        },
        payloadBytesMax: () => 64 * 1024,
        onAnnounced: announced,
        onMessage: (message) => got.push(message),
        onWaiting: (bytes) => {
          end.waiting += bytes;
        },
        onBroken: (error) => broken.push(error),
      }),
    };
    return end;
  };
  ends.push(make(0), make(1));
  const [near, far] = ends;
  assert(near !== undefined && far !== undefined);
  return [near, far];
}

function tailOf(bytes: number): TailWriter {
  const tail = new TailWriter();
  const data = new Uint8Array(bytes).map((_, at) => at % 251);
  tail.add(0, { values: {}, tensors: { data: { type: "uint8", shape: [bytes], data } } });
  return tail;
}

test("messages of every size arrive whole and in order, and what is large goes in parts", () => {
  const [near, far] = pair();
  const sizes = [0, 1, 7, 8, 70_000, 5_000_000, 3];
  for (const [at, size] of sizes.entries())
    near.conversation.send(JSON.stringify({ at }), tailOf(size));
  assert.deepEqual(
    far.got.map(({ head }) => head["at"]),
    [...sizes.keys()],
  );
  for (const [at, { tail }] of far.got.entries()) {
    assert.equal(tail.length, sizes[at]);
    assert(tail.every((byte, place) => byte === place % 251));
  }
  assert.equal(near.waiting, 0);
});

test("no more than a window is on its way while nobody takes it, and it goes on with credits", () => {
  const held: (() => void)[] = [];
  let onTheWay = 0;
  const [near, far] = pair((part, deliver) => {
    if (part.kind === "part") onTheWay += part.bytes.length;
    held.push(() => deliver(part));
  });
  near.conversation.send("{}", tailOf(5_000_000));
  assert(onTheWay <= 1024 * 1024, String(onTheWay));
  assert(near.waiting > 3_900_000);
  for (let next = held.shift(); next !== undefined; next = held.shift()) next();
  assert.equal(far.got[0]?.tail.length, 5_000_000);
  assert.equal(near.waiting, 0);
});

test("a part that is lost, doubled, wrong or too much breaks the conversation once, and nothing else", () => {
  const wrong: readonly ((
    part: Extract<WirePart, { kind: "part" }>,
    count: number,
  ) => WirePart[])[] = [
    (part, count) => (count === 2 ? [] : [part]),
    (part, count) => (count === 2 ? [part, part] : [part]),
    (part, count) => (count === 2 ? [{ ...part, totalBytes: part.totalBytes + 1 }] : [part]),
    (part, count) => (count === 2 ? [{ ...part, offset: 0 }] : [part]),
    (part, count) => (count === 1 ? [{ ...part, headBytes: part.headBytes + 8 }] : [part]),
    (part, count) => (count === 2 ? [part, { kind: "credit", bytes: 1 }] : [part]),
  ];
  for (const [at, change] of wrong.entries()) {
    let count = 0;
    const [near, far] = pair((part, deliver) => {
      if (part.kind !== "part") return deliver(part);
      count += 1;
      for (const each of change(part, count)) deliver(each);
    });
    near.conversation.send("{}", tailOf(200_000));
    assert.equal(far.broken.length, 1, `the change ${at}`);
    assert.equal(far.got.length, 0);
  }
});

test("a last part that is lost is noticed by a beat", () => {
  let isCut = false;
  const [near, far] = pair((part, deliver) => {
    if (!isCut) deliver(part);
  });
  near.conversation.send('{"a":1}');
  isCut = true;
  near.conversation.send('{"b":1}');
  far.conversation.otherHasSent(1);
  assert.equal(far.broken.length, 0);
  far.conversation.otherHasSent(near.conversation.sent);
  assert.equal(far.broken.length, 1);
});

test("what is announced too large is refused before memory is taken, and can still be answered", () => {
  const [near, far] = pair(undefined, (bytes) => bytes < 1_000_000);
  near.conversation.send("{}", tailOf(2_000_000));
  assert.equal(far.got.length, 0);
  far.conversation.send('{"type":"failed"}');
  assert.equal(near.got[0]?.head["type"], "failed");
});

test("a head that is no object, nested without end or no JSON breaks the conversation", () => {
  for (const head of ["[1]", "7", `{"a":${"[".repeat(100)}${"]".repeat(100)}}`, "{", "\u0000"]) {
    const [near, far] = pair();
    near.conversation.send(head);
    assert.equal(far.broken.length, 1, head.slice(0, 10));
  }
});

test("bytes of any kind are a part or none, and never more than there are", () => {
  const whole = encodePart({
    kind: "part",
    sequence: 0,
    totalBytes: 9,
    headBytes: 8,
    offset: 0,
    bytes: Buffer.from("{}       "),
  });
  for (let length = 0; length <= 20; length += 1)
    assert.equal(readPart(whole.subarray(0, length)), null);
  assert.equal(readPart(whole)?.kind, "part");
  for (let at = 0; at < 20; at += 1) {
    for (const value of [0, 1, 127, 255]) {
      const lying = Buffer.from(whole);
      lying[at] = value;
      const part = readPart(lying);
      if (part?.kind !== "part") continue;
      assert(part.headBytes > 0 && part.headBytes <= part.totalBytes);
      assert(part.offset + part.bytes.length <= part.totalBytes);
    }
  }
  assert.deepEqual(readBeat(Buffer.from('{"open":[1,2,-1,3,4]}')), [{ number: 1, sent: 2 }]);
  assert.deepEqual(readBeat(Buffer.from("{")), []);
  const many = Array.from({ length: 12_000 }, (_, number) => ({ number, sent: 1 }));
  const read = encodeBeats(many).flatMap((beat) => {
    const part = readPart(beat);
    return part?.kind === "beat" ? readBeat(part.json) : [];
  });
  assert.deepEqual(read, many);
});

const base: AskMessage = {
  id: "r",
  task: "infer",
  model: "m",
  class: "realtime",
  tenant: "t",
  remainingMs: 12.5,
  isDeadlineNamed: true,
  payloadBytes: 4,
  only: [0, 2],
  fields: {},
};

function roundTrip(message: AskMessage): AskMessage {
  const { head, tail } = encodeAsk(message);
  const bytes = new Uint8Array(tail?.byteLength ?? 0);
  tail?.copyTo(bytes);
  return readAsk(JSON.parse(head) as never, bytes);
}

test("fields of every kind come back as they were: texts, files, numbers, named tensors", () => {
  const named = new NamedTensors([
    { name: "a", datatype: "FP32", shape: [2], data: Float32Array.of(1.5, -2) },
    {
      name: "t",
      datatype: "BYTES",
      shape: [2],
      data: new Uint8Array([104, 105]),
      lengths: Int32Array.of(1, 1),
    },
    { name: "i", datatype: "INT64", shape: [1], data: BigInt64Array.of(-7n) },
  ]);
  const fields = {
    texts: ["a", ["b", "c"], "\ud800 lone"],
    images: [new Uint8Array([1, 2, 3]), new Uint8Array(0)],
    deep: { at: [{ raw: Int32Array.of(1, 2) }, null], $0: 1, __proto: null },
    inputs: named,
    none: null,
  };
  const read = roundTrip({ ...base, fields });
  assert.deepEqual(read, { ...base, fields });
  assert(read.fields["inputs"] instanceof NamedTensors);
  const own = JSON.parse('{"__proto__":{"a":1},"constructor":[1]}') as Record<string, unknown>;
  assert.deepEqual(roundTrip({ ...base, fields: own }).fields, own);
  assert.throws(() => encodeAsk({ ...base, fields: { a: 1n } }), RangeError);
});

test("a request of another version, or with a field that lies, is refused by name", () => {
  const { head, tail } = encodeAsk({ ...base, fields: { images: [new Uint8Array([1, 2, 3])] } });
  const bytes = new Uint8Array(tail?.byteLength ?? 0);
  const good = JSON.parse(head) as Record<string, unknown>;
  const lies: Record<string, unknown>[] = [
    { version: 2 },
    { type: "tell" },
    { id: 7 },
    { class: "soon" },
    { remainingMs: "1" },
    { isDeadlineNamed: 1 },
    { payloadBytes: -1 },
    { only: [] },
    { only: [2, 2] },
    { only: [1.5] },
    { fields: [0, {}, ["0", "uint8", 2]] },
    { fields: [0, { images: [null] }, ["0", "uint8", 4]] },
    { places: [[["images", 1], 0]] },
    { places: [[["images", 0], 9]] },
    { places: [[["__proto__"], 0]] },
    { places: [[[], 0]] },
    { places: 7 },
  ];
  for (const lie of lies) {
    const refused = (): unknown => readAsk({ ...good, ...lie } as never, bytes);
    assert.throws(refused, { code: "bad_request" }, JSON.stringify(lie));
  }
});

test("answers come back as they were, with codes and what to wait; one of a later version is known as none", () => {
  const value = {
    values: { text: "x" },
    tensors: { v: { type: "float32", shape: [1], data: Float32Array.of(2) } },
  } as const;
  const error = new MillraceError("item_failed", "no", { param: "texts[1]" }).toWire();
  const outcomes = [
    { index: 3, value },
    { index: 1, error },
  ];
  const { head, tail } = encodeOutcomes(outcomes);
  const bytes = new Uint8Array(tail?.byteLength ?? 0);
  tail?.copyTo(bytes);
  const read = (text: string, binary = new Uint8Array(0)) =>
    readAnswer(JSON.parse(text) as never, binary);
  assert.deepEqual(read(head, bytes), { type: "outcomes", outcomes });
  const full = read(
    encodeFailed(new MillraceError("queue_full", "full", { retryAfterMs: 70 })).head,
  );
  assert(full.type === "failed");
  assert.deepEqual(
    [full.error.code, full.error.retryAfterMs, full.error.retryable],
    ["queue_full", 70, true],
  );
  const later = read(
    '{"type":"failed","error":{"code":"of_tomorrow","message":"m"},"retryAfterMs":null}',
  );
  assert(later.type === "failed");
  assert.equal(later.error.code, "internal");
  const timings = { prepareMs: 1, queueMs: 2, computeMs: 3, totalMs: 4 };
  const summary = {
    task: "t",
    model: "m",
    class: "bulk",
    inputs: 2,
    timings,
    pipelines: { p: 2 },
  } as const;
  assert.deepEqual(read(encodeDone(summary).head), { type: "done", summary });
  for (const lie of [
    '{"type":"outcomes","outcomes":[[0]]}',
    '{"type":"outcomes"}',
    '{"type":"done","summary":{}}',
    "{}",
  ]) {
    assert.throws(() => read(lie));
  }
});

test("subjects and entries of nodes: read again, and strangers' are none", () => {
  const subjects = subjectsOf("mill");
  const [edge, node] = [makeInstance(), makeInstance()];
  assert.deepEqual(readBack("mill", subjects.back(edge, 7)), {
    instance: edge,
    number: 7,
    node: null,
  });
  assert.deepEqual(readBack("mill", subjects.backBeat(edge, node)), {
    instance: edge,
    number: null,
    node,
  });
  for (const wrong of [
    "",
    "mill.back.x.1",
    `mill.back.${edge}`,
    `mill.back.${edge}.-1`,
    `mill.back.${edge}.1.2`,
    `other.back.${edge}.1`,
    `mill.back.${edge}.beat-x`,
  ]) {
    assert.equal(readBack("mill", wrong), null, wrong);
  }
  const model = {
    name: "m",
    tasks: ["translate"],
    ready: true,
    state: "resident",
    reason: null,
    loadMs: 0,
    itemMs: 3,
    infoId: "i",
  };
  const entry: NodeEntry = {
    instance: node,
    node: "n1",
    role: "node",
    version: "1",
    environment: "e",
    configHash: "c",
    state: "ready",
    isDraining: false,
    hasLeft: false,
    pipelines: 2,
    waits: { realtimeMs: 1, bulkMs: 2 },
    models: [model],
  };
  assert.deepEqual(readEntry(encodeEntry(entry)), entry);
  const good = JSON.parse(encodeEntry(entry)) as Record<string, unknown>;
  for (const lie of [
    { wire: 9 },
    { instance: "a.b" },
    { role: "boss" },
    { waits: { realtimeMs: -1, bulkMs: 0 } },
    { models: [{ ...model, itemMs: "x" }] },
    { models: 7 },
    { pipelines: null },
  ]) {
    assert.equal(readEntry(JSON.stringify({ ...good, ...lie })), null, JSON.stringify(lie));
  }
  assert.equal(readEntry("{"), null);
});

test("defect: a beat of very many requests is no more than any NATS takes", () => {
  const open = Array.from({ length: 5_000 }, (_, at) => ({ number: 999_990_000 + at, sent: 99 }));
  for (const beat of encodeBeats(open)) assert.ok(beat.length < 16_384, String(beat.length));
});
