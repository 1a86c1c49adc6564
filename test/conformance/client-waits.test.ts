/** Every wait of the client ends, and no sooner than it should; what it sends again is what it sent. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type Fetch, Millrace } from "millrace-client";
import {
  answer,
  beginStream,
  doneLine,
  item,
  itemLine,
  serveHttp,
} from "../support/http-server.js";

const direct = { retry: { delayMs: 0 }, sharing: false } as const;
const once = { retry: { attemptsMax: 1 }, sharing: false } as const;
const nowhere = "http://nowhere.invalid";
const never = new Promise<never>(() => undefined);
const lines = { headers: { "content-type": "application/x-ndjson" } } as const;

/** A reply that a test sends by hand, in a time that it moves by hand. */
class ByHand implements Disposable {
  readonly fetch: Fetch;
  #answer: (response: Response) => void = () => undefined;
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor() {
    mock.timers.enable({ apis: ["setTimeout"] });
    const head = new Promise<Response>((resolve) => {
      this.#answer = resolve;
    });
    this.fetch = () => head;
  }

  async pass(ms: number): Promise<void> {
    await turn();
    mock.timers.tick(ms);
    await turn();
  }

  begin(init: ResponseInit = lines): void {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller;
      },
    });
    this.#answer(new Response(body, init));
  }

  send(text: string): void {
    this.#body?.enqueue(new TextEncoder().encode(text));
  }

  [Symbol.dispose](): void {
    mock.timers.reset();
  }
}

test("defect 11: a call that is queued for hours lives on blank lines", async () => {
  using hand = new ByHand();
  await using client = new Millrace(nowhere, { ...once, fetch: hand.fetch });
  const call = client.translate(["a", "b"], { class: "bulk" });
  await hand.pass(10_000);
  hand.begin();
  for (let quarters = 0; quarters < 4 * 180; quarters += 1) {
    await hand.pass(15_000);
    hand.send("\n");
  }
  hand.send(`\n${itemLine(1, item("b"))}\r\n\n`);
  await hand.pass(15_000);
  hand.send(`\n${itemLine(0, item("a"))}\n\n${doneLine(2)}`);
  assert.deepEqual((await call).results, [item("a"), item("b")]);
});

test("defect 11: silence counts from the reply's head, and before it only the head's own limit", async () => {
  {
    using hand = new ByHand();
    const limits = { headMsMax: 60_000, silenceMsMax: 20_000 };
    await using client = new Millrace(nowhere, { ...once, ...limits, fetch: hand.fetch });
    const call = client.translate("a");
    await hand.pass(59_000);
    hand.begin();
    await hand.pass(19_000);
    // Half a line is a sign of life like a whole one.
    const line = itemLine(0, item("a"));
    hand.send(line.slice(0, 9));
    await hand.pass(19_000);
    hand.send(line.slice(9) + doneLine(1));
    assert.deepEqual((await call).results, [item("a")]);
  }
  {
    using hand = new ByHand();
    await using client = new Millrace(nowhere, { ...once, fetch: hand.fetch });
    const call = assert.rejects(client.translate("a"), {
      code: "connection_failed",
      message: /nothing for 120000 ms/,
    });
    hand.begin();
    await hand.pass(120_000);
    await call;
  }
});

test("a server that never begins its reply is left after the head's limit, or the call's own", async () => {
  using hand = new ByHand();
  await using client = new Millrace(nowhere, { ...once, fetch: hand.fetch });
  const patient = assert.rejects(client.translate("a"), {
    code: "connection_failed",
    message: /No head of a reply within 120000 ms/,
  });
  const hurried = assert.rejects(client.translate("a", { timeoutMs: 1000 }), {
    code: "deadline_exceeded",
  });
  await hand.pass(6_000);
  await hurried;
  await hand.pass(114_000);
  await patient;
});

test("a JSON reply that trickles is given up as a whole; so is an error's body", async () => {
  for (const status of [200, 500]) {
    using hand = new ByHand();
    await using client = new Millrace(nowhere, { ...once, fetch: hand.fetch });
    const call = assert.rejects(client.status(), {
      code: "connection_failed",
      message: /not whole within 30000 ms/,
    });
    hand.begin({ status, headers: { "content-type": "application/json" } });
    for (let seconds = 0; seconds < 30; seconds += 1) {
      hand.send(" ");
      await hand.pass(1_000);
    }
    await call;
  }
});

test("a fetch or a body that does not hear the signal holds nobody", async () => {
  const deaf: readonly Fetch[] = [
    () => never,
    async () => new Response(new ReadableStream({ pull: () => never, cancel: () => never }), lines),
  ];
  for (const fetch of deaf) {
    await using client = new Millrace(nowhere, { ...once, fetch });
    const controller = new AbortController();
    const call = client.translate("a", { signal: controller.signal });
    await turn();
    controller.abort();
    await assert.rejects(call, { code: "cancelled" });
    const limits = { headMsMax: 5, silenceMsMax: 5 };
    await using wary = new Millrace(nowhere, { ...once, ...limits, fetch });
    await assert.rejects(wary.translate("a"), { code: "connection_failed" });
  }
});

test("a fetch that throws at once is a failed connection", async () => {
  let attempts = 0;
  const fetch = (): never => {
    attempts += 1;
    throw new TypeError("no network");
  };
  const retry = { attemptsMax: 2, delayMs: 0 };
  await using client = new Millrace(nowhere, { retry, sharing: false, fetch });
  await assert.rejects(client.translate("a"), { code: "connection_failed", message: /no network/ });
  assert.equal(attempts, 2);
});

test("defect 11: hours in the queue do not use up the retries of a connection that breaks then", async () => {
  let nowMs = 0;
  const clock = mock.method(performance, "now", () => nowMs);
  try {
    let attempts = 0;
    const fetch: Fetch = async () => {
      attempts += 1;
      if (attempts === 4) return new Response(itemLine(0, item("a")) + doneLine(1), lines);
      nowMs += 3_600_000;
      return new Response("\n", lines);
    };
    await using client = new Millrace(nowhere, { ...direct, fetch });
    assert.deepEqual((await client.translate("a")).results, [item("a")]);
  } finally {
    clock.mock.restore();
  }
});

test("the rest of a call that was bulk by its size stays bulk", async () => {
  await using server = await serveHttp((exchange) => {
    const { response, texts, number } = exchange;
    if (number % 2 === 1) return answer(exchange);
    beginStream(response);
    // All but the last; or a page of so many sentences that the rest of the call cannot tell.
    const sent = texts.length > 1 ? texts.slice(0, -1) : [];
    const sentences = texts.length === 2 ? 255 : 1;
    response.end(sent.map((text, index) => itemLine(index, { ...item(text), sentences })).join(""));
    return undefined;
  });
  await using client = new Millrace(server.url, direct);
  for (const texts of [Array<string>(256).fill("a"), ["page", "a"], ["a", "b", "c"]]) {
    assert.equal((await client.translate(texts)).results.length, texts.length);
  }
  const classes = server.exchanges.map(({ body }) => (body as { class?: string }).class);
  assert.deepEqual(classes, [undefined, "bulk", undefined, "bulk", undefined, undefined]);
});

test("what a caller does to its list after the call changes no attempt", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number > 0) answer(exchange);
    else exchange.request.socket.destroy();
  });
  await using client = new Millrace(server.url, direct);
  const texts = ["a", "b"];
  const call = client.translate(texts);
  texts[1] = "other";
  texts.push("more");
  await call;
  assert.deepEqual(
    server.exchanges.map((exchange) => exchange.texts),
    [
      ["a", "b"],
      ["a", "b"],
    ],
  );
});

test("what cannot be sent, and limits that limit nothing, are refused without a request", async () => {
  const fetch = (): never => assert.fail("nothing should be sent");
  await using client = new Millrace(nowhere, { ...direct, fetch });
  const inputs: readonly unknown[] = [null, 7, ["a", null], { tokenIds: 3 }, { tokenIds: ["x"] }];
  for (const input of inputs) {
    await assert.rejects(client.translate(input as string), { code: "bad_request" });
  }
  await assert.rejects(client.translate({ tokenIds: [[]] }), { code: "input_empty" });
  const beams = 4n as unknown as number;
  await assert.rejects(client.translate("a", { beams }), { code: "bad_request" });
  const limits = [
    { retry: { attemptsMax: Number.NaN } },
    { retry: { totalMs: "1" as unknown as number } },
    { sharing: { windowMs: Number.NaN } },
    { silenceMsMax: Number.NaN },
  ];
  for (const limit of limits) {
    assert.throws(() => new Millrace(nowhere, limit), { code: "option_invalid" });
  }
});

test("undefined in a policy is its default: attempts stay bounded", async () => {
  await using server = await serveHttp(({ request }) => {
    request.socket.destroy();
  });
  const retry = { delayMs: 0, attemptsMax: undefined, totalMs: undefined } as object;
  await using client = new Millrace(server.url, { retry, sharing: false });
  await assert.rejects(client.translate("a"), { code: "connection_failed" });
  assert.equal(server.exchanges.length, 5);
});

test("many calls with one signal put one listener on it, and take it back", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url, direct);
  const { signal } = new AbortController();
  const add = mock.method(signal, "addEventListener");
  const remove = mock.method(signal, "removeEventListener");
  await Promise.all(Array.from({ length: 20 }, () => client.translate("a", { signal })));
  assert.deepEqual([add.mock.callCount(), remove.mock.callCount()], [1, 1]);
});
