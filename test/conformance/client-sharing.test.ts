import assert from "node:assert/strict";
import { test } from "node:test";
import { Millrace, type Translation } from "millrace-client";
import {
  answer,
  beginStream,
  doneLine,
  item,
  itemLine,
  refuse,
  serveHttp,
} from "../support/http-server.js";

const noPause = { retry: { delayMs: 0 } } as const;

function texts({ results }: Translation): (string | undefined)[] {
  return results.map((result) => ("text" in result ? result.text : undefined));
}

test("calls made together with the same options share one request, each gets its own results", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url);
  const progress: string[] = [];
  const [a, b, c, d] = await Promise.all([
    client.translate(["a0", "a1"], { beams: 2, nBest: 1 }),
    client.translate("b0", {
      nBest: 1,
      beams: 2,
      onProgress: ({ done, total }) => progress.push(`${done}/${total}`),
    }),
    client.translate("c0"),
    client.translate({ tokenIds: [[1, 0]] }, { beams: 2, nBest: 1 }).catch(() => null),
  ]);
  assert.deepEqual([texts(a), texts(b), texts(c), d], [["«a0»", "«a1»"], ["«b0»"], ["«c0»"], null]);
  assert.deepEqual(progress, ["1/1"]);
  assert.deepEqual(server.exchanges.map((exchange) => exchange.texts.join(" ")).toSorted(), [
    "",
    "a0 a1 b0",
    "c0",
  ]);
});

test("a shared request is bounded, a large call goes alone, and sharing can be turned off", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url, { batch: { itemsMax: 3, charactersMax: 100 } });
  await Promise.all([
    client.translate(["a", "b"]),
    client.translate(["c", "d"]),
    client.translate(["e", "f", "g", "h"]),
    client.translate("i".repeat(100)),
  ]);
  assert.equal(server.exchanges.length, 4);
  await using alone = new Millrace(server.url, { batch: false });
  await Promise.all([alone.translate("a"), alone.translate("b")]);
  assert.equal(server.exchanges.length, 6);
});

test("one caller who leaves does not disturb the others; the last one takes the request along", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.flushHeaders();
  });
  await using client = new Millrace(server.url, noPause);
  const leaving = new AbortController();
  const left = client.translate("a", { signal: leaving.signal });
  const stays = client.translate("b");
  const { response, texts: asked } = await server.arrived(0);
  assert.deepEqual(asked, ["a", "b"]);
  leaving.abort();
  await assert.rejects(left, { code: "cancelled" });
  response.end(itemLine(1, item("b")) + itemLine(0, item("a")) + doneLine(2));
  assert.deepEqual(texts(await stays), ["«b»"]);

  const both = [new AbortController(), new AbortController()];
  const calls = both.map(({ signal }) => client.translate("c", { signal }));
  const { closed } = await server.arrived(1);
  for (const controller of both) controller.abort();
  for (const call of calls) await assert.rejects(call, { code: "cancelled" });
  assert.equal(await closed, "gone");
});

test("a caller who leaves before the request departs is not in it", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url);
  const leaving = new AbortController();
  const left = client.translate("a", { signal: leaving.signal });
  const stays = client.translate("b");
  leaving.abort();
  await assert.rejects(left, { code: "cancelled" });
  assert.deepEqual(texts(await stays), ["«b»"]);
  assert.deepEqual(server.exchanges[0]?.texts, ["b"]);
});

test("a text that the server refuses fails its own caller only", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.texts.includes("bad")) refuse(exchange, { status: 400, code: "bad_encoding" });
    else answer(exchange);
  });
  await using client = new Millrace(server.url);
  const bad = client.translate("bad");
  const good = client.translate("good");
  await assert.rejects(bad, { code: "bad_encoding" });
  assert.deepEqual(texts(await good), ["«good»"]);
  assert.equal(server.exchanges.length, 3);
});

test("what a caller's own callback throws fails its call only", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url);
  const onProgress = (): void => {
    throw new RangeError("mine");
  };
  const clumsy = client.translate("a", { onProgress });
  const good = client.translate("b");
  await assert.rejects(clumsy, RangeError);
  assert.deepEqual(texts(await good), ["«b»"]);
  await using alone = new Millrace(server.url, { batch: false });
  await assert.rejects(alone.translate("a", { onProgress }), RangeError);
});

test("a broken shared request is resumed for all of its callers", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number > 0) return answer(exchange);
    beginStream(exchange.response);
    exchange.response.end(itemLine(1, item("b")));
    return undefined;
  });
  await using client = new Millrace(server.url, noPause);
  const outcome = await Promise.all([client.translate("a"), client.translate("b")]);
  assert.deepEqual(outcome.map(texts), [["«a»"], ["«b»"]]);
  assert.deepEqual(server.exchanges[1]?.texts, ["a"]);
});
