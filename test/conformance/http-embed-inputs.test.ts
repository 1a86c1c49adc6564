/** What embed takes beside texts, and what else every model that reads text serves, through HTTP and a real pipeline. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Millrace } from "millrace-client";
import type {
  DetokenizeOutcome,
  EmbedOutcome,
  EmbedRequest,
  EmbedResult,
  ErrorResponse,
  ModelsResponse,
  TextToken,
  TokenizeOutcome,
} from "millrace-client/wire";
import type { MillraceServer } from "#src/index.js";
import { encoderWidth, encoderWords, wordAt, writeMadeEncoder } from "../support/made-encoder.js";
import { copyTranslator, getStatus, postJson, startReady } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let server: MillraceServer;

before(async () => {
  temp = await TempDir.make();
  await writeMadeEncoder(temp.file("plain"), { inputTokensMax: 64 });
  const embedding = { pooling: "mean", normalize: false, width: 3, own: true } as const;
  await writeMadeEncoder(temp.file("own"), { embedding });
  await writeMadeEncoder(temp.file("labels"), { labels: ["x", "y", "z"] });
  await copyTranslator(temp.file("en-zh"));
  const queuedBytesMax = 8 * 1024 * 1024;
  server = await startReady({ models: temp.path, preload: "plain", queuedBytesMax });
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

async function post(task: string, body: object): Promise<Response> {
  return await postJson(`${server.url}/v1/${task}`, { model: "plain", ...body });
}

async function ask<Outcome>(task: string, body: object): Promise<readonly Outcome[]> {
  const response = await post(task, body);
  assert.equal(response.status, 200, await response.clone().text());
  return ((await response.json()) as { readonly results: readonly Outcome[] }).results;
}

async function embedOne(request: EmbedRequest): Promise<EmbedResult> {
  const [result] = await ask<EmbedOutcome>("embed", request);
  assert.ok(result !== undefined && "embedding" in result, JSON.stringify(result));
  return result;
}

async function refusal(task: string, body: object): Promise<ErrorResponse["error"]> {
  const response = await post(task, body);
  const said = (await response.json()) as ErrorResponse | { readonly results: [ErrorResponse] };
  return "results" in said ? said.results[0].error : said.error;
}

const idsOf = (words: string): number[] =>
  words.split(" ").map((word) => encoderWords.findIndex((each) => each === word));

function near(found: EmbedResult["embedding"], wanted: readonly number[]): void {
  const numbers = (found as number[] | number[][]).flat();
  assert.equal(numbers.length, wanted.length);
  for (const [at, number] of wanted.entries()) {
    const message = `${String(numbers)} is not ${String(wanted)}`;
    assert.ok(Math.abs((numbers[at] ?? Number.NaN) - number) < 1e-5, message);
  }
}

describe("embed", () => {
  test("ids, tokens and texts that are the same have the same vector", async () => {
    const byText = await embedOne({ texts: "hello worlds" });
    const tokenIds = [idsOf("[CLS] hello world ##s [SEP]")];
    assert.deepEqual(await embedOne({ tokenIds }), byText);
    assert.deepEqual(await embedOne({ tokens: [["hello", "world", "##s"]] }), byText);
    // As they came: what stands around a text is not added.
    const bare = await embedOne({ tokenIds: [[4]], pooling: "none" });
    near(
      bare.embedding,
      Array.from({ length: encoderWidth }, (_, at) => wordAt(4, at) * 3),
    );
  });

  test("a token that the vocabulary has not is its unknown one", async () => {
    const { tokens } = await embedOne({
      tokens: [["hello", "zebra", "[MASK]"]],
      returnTokens: true,
    });
    assert.deepEqual(tokens, ["[CLS]", "hello", "[UNK]", "[UNK]", "[SEP]"]);
  });

  test("a pair has two types, as texts and as tokens", async () => {
    const wished = { pooling: "none", returnTokens: true } as const;
    const pair = await embedOne({ texts: [["hello", "a b"]], ...wished });
    assert.deepEqual(pair.tokens, ["[CLS]", "hello", "[SEP]", "a", "b", "[SEP]"]);
    assert.deepEqual(await embedOne({ tokens: [[["hello"], ["a", "b"]]], ...wished }), pair);
    const rows = pair.embedding as number[][];
    const [hello, , a] = idsOf("hello [SEP] a");
    assert.equal(rows[1]?.[0], (wordAt(hello ?? 0, 0) + 1 / 8) * 3);
    assert.equal(rows[3]?.[0], (wordAt(a ?? 0, 0) + 3 / 8 + 1 / 2) * 3);
  });

  test("maxTokens is the limit of this request, and never above the model's", async () => {
    const texts = "a b a b a b";
    const wished = { returnTokens: true, maxTokens: 5 };
    const error = await refusal("embed", { texts, ...wished });
    assert.deepEqual(
      [error.code, error.message],
      ["input_too_long", "texts[0] has 8 tokens; the limit is 5"],
    );
    const cut = async (request: EmbedRequest): Promise<string> => {
      const { tokens, truncated } = await embedOne({ ...wished, ...request, truncate: true });
      assert.equal(truncated, true);
      return tokens?.join(" ") ?? "";
    };
    assert.equal(await cut({ texts }), "[CLS] a b a [SEP]");
    assert.equal(await cut({ texts: "b b b a b a", truncateFrom: "start" }), "[CLS] a b a [SEP]");
    assert.equal(await cut({ tokens: [["a", "b", "b", "b"]] }), "[CLS] a b b [SEP]");
    assert.equal(await cut({ tokenIds: [idsOf("[CLS] a b a b [SEP]")] }), "[CLS] a b a b");
    const start = { tokenIds: [idsOf("[CLS] a b a b [SEP]")], truncateFrom: "start" } as const;
    assert.equal(await cut(start), "a b a b [SEP]");
    // Of a pair the longer first.
    assert.equal(await cut({ texts: [["a", "b b b b"]] }), "[CLS] a [SEP] b [SEP]");
    assert.equal(await cut({ texts: "a ".repeat(100), maxTokens: 2 }), "[CLS] [SEP]");
    assert.equal(
      (await refusal("embed", { texts, maxTokens: 1, truncate: true })).code,
      "input_too_long",
    );
    const long = { texts: "a ".repeat(100), maxTokens: 90, truncate: true };
    assert.equal((await embedOne(long)).inputTokens, 64);
  });

  test("a text that is cut at its start keeps its end, however long it is", async () => {
    const texts = `${"hello world ".repeat(1_500)}good bad`;
    const wished = {
      truncate: true,
      truncateFrom: "start",
      maxTokens: 5,
      returnTokens: true,
    } as const;
    const { tokens } = await embedOne({ texts, ...wished });
    assert.deepEqual(tokens, ["[CLS]", "world", "good", "bad", "[SEP]"]);
    const tooLong = `${"hello world ".repeat(1_700)}😀 good bad`;
    const [, ...rest] = (await embedOne({ texts: tooLong, ...wished })).tokens ?? [];
    assert.deepEqual(rest, ["[UNK]", "good", "bad", "[SEP]"]);
  });

  test("masked special tokens have no weight in mean and max", async () => {
    for (const texts of ["hello world a", [["hello", "a b good"]]] as const) {
      const all = await embedOne({ texts, pooling: "none", returnTokens: true });
      const rows = (all.embedding as number[][]).filter((_, at) => {
        return !["[CLS]", "[SEP]"].includes(all.tokens?.[at] ?? "");
      });
      const column = (by: (numbers: number[]) => number): number[] =>
        Array.from({ length: encoderWidth }, (_, at) => by(rows.map((row) => row[at] ?? 0)));
      const mean = column((numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length);
      const max = column((numbers) => Math.max(...numbers));
      const masked = { texts, maskSpecial: true } as const;
      near((await embedOne({ ...masked, pooling: "mean" })).embedding, mean);
      near((await embedOne({ ...masked, pooling: "max" })).embedding, max);
      near((await embedOne({ ...masked, pooling: "mean-max" })).embedding, [...mean, ...max]);
    }
    const tokenIds = [idsOf("[CLS] hello world a [SEP]")];
    const byIds = await embedOne({ tokenIds, pooling: "max", maskSpecial: true });
    const byText = await embedOne({ texts: "hello world a", pooling: "max", maskSpecial: true });
    assert.deepEqual(byIds, byText);
  });

  test("a text of nothing but masked tokens is a vector of zeros", async () => {
    for (const pooling of ["mean", "max"] as const) {
      near((await embedOne({ texts: "", pooling, maskSpecial: true })).embedding, [0, 0, 0, 0]);
    }
  });

  test("what cannot be meant is refused, with the field's name", async () => {
    const wrong: readonly [object, string, string, RegExp][] = [
      [{}, "bad_request", "texts", /exactly one of `texts`, `tokenIds` and `tokens`/],
      [{ texts: "a", tokenIds: [[4]] }, "bad_request", "texts", /exactly one/],
      [{ tokenIds: [4] }, "bad_request", "tokenIds[0]", /list of integers/],
      [{ tokenIds: [[4], []] }, "input_empty", "tokenIds[1]", /empty/],
      [{ tokenIds: [[-1]] }, "bad_request", "tokenIds[0][0]", /integer from 0/],
      [{ tokenIds: [[2, 12, 3]] }, "token_out_of_range", "tokenIds[0][1]", /vocabulary has 12/],
      [{ tokens: ["a"] }, "bad_request", "tokens[0]", /list of tokens/],
      [{ tokens: [["a", 1]] }, "bad_request", "tokens[0][1]", /must be a text/],
      [{ tokens: [[["a"], ["b"], ["a"]]] }, "bad_request", "tokens[0]", /two lists/],
      [{ texts: "a", maxTokens: 0 }, "bad_request", "maxTokens", /between 1/],
      [{ texts: "a", truncateFrom: "left" }, "bad_request", "truncateFrom", /end or start/],
      [{ texts: "a", maskSpecial: true, pooling: "cls" }, "bad_request", "maskSpecial", /not cls/],
      [
        { texts: "a", maskSpecial: true, pooling: "none" },
        "bad_request",
        "maskSpecial",
        /not none/,
      ],
      [{ model: "own", texts: "a", maskSpecial: true }, "bad_request", "maskSpecial", /layers of/],
    ];
    for (const [body, code, param, message] of wrong) {
      const error = await refusal("embed", body);
      assert.deepEqual([error.code, error.param], [code, param], JSON.stringify(body));
      assert.match(error.message, message);
    }
  });

  test("the client sends what may stand instead of texts", async () => {
    await using client = new Millrace(server.url);
    const options = { model: "plain", returnTokens: true } as const;
    const [byIds] = (await client.embed({ tokenIds: [idsOf("[CLS] a [SEP]")] }, options)).results;
    const [byToken] = (await client.embed({ tokens: [["a"]] }, options)).results;
    assert.ok(byIds !== undefined && "tokens" in byIds);
    assert.deepEqual(byIds.tokens, ["[CLS]", "a", "[SEP]"]);
    assert.deepEqual(byToken, byIds);
  });
});

test("classify cuts at the end that is named", async () => {
  const texts = [`good ${"a ".repeat(40)}bad`];
  const classify = (fields: object) =>
    ask<object>("classify", { model: "labels", texts, raw: true, truncate: true, ...fields });
  assert.notDeepEqual(await classify({ truncateFrom: "start" }), await classify({}));
});

describe("tokenize and detokenize", () => {
  const tokensOf = async (body: object): Promise<readonly TextToken[]> => {
    const [result] = await ask<TokenizeOutcome>("tokenize", body);
    assert.ok(result !== undefined && "tokens" in result, JSON.stringify(result));
    return result.tokens;
  };

  test("tokens with their places, in code points", async () => {
    const tokens = await tokensOf({ texts: "😀 Héllo  worlds" });
    assert.deepEqual(tokens, [
      { id: 2, text: "[CLS]", special: true, start: null, stop: null },
      { id: 1, text: "[UNK]", special: false, start: 0, stop: 1 },
      { id: 4, text: "hello", special: false, start: 2, stop: 7 },
      { id: 5, text: "world", special: false, start: 9, stop: 14 },
      { id: 11, text: "##s", special: false, start: 14, stop: 15 },
      { id: 3, text: "[SEP]", special: true, start: null, stop: null },
    ]);
    const plain = await tokensOf({ texts: "hello", addSpecial: false });
    assert.deepEqual(plain, [{ id: 4, text: "hello", special: false, start: 0, stop: 5 }]);
  });

  test("every model that reads text serves them, loaded or not", async () => {
    const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelsResponse;
    for (const { name } of models) {
      const ids = (await tokensOf({ model: name, texts: "hello world" })).map(({ id }) => id);
      const [result] = await ask<DetokenizeOutcome>("detokenize", { model: name, tokenIds: [ids] });
      assert.deepEqual(result, { text: "hello world" }, name);
    }
    const { models: status } = await getStatus(server.url);
    assert.equal(
      status.find(({ model }) => model === "en-zh")?.loads,
      0,
      "nothing was loaded for it",
    );
  });

  test("special tokens are kept where that is wanted", async () => {
    const body = { tokenIds: [idsOf("[CLS] hello [SEP]")], skipSpecial: false };
    assert.deepEqual(await ask("detokenize", body), [{ text: "[CLS] hello [SEP]" }]);
  });

  test("bad inputs fail alone, bad fields all", async () => {
    const results = await ask<DetokenizeOutcome>("detokenize", { tokenIds: [[4], [12]] });
    assert.deepEqual(results[0], { text: "hello" });
    assert.ok(results[1] !== undefined && "error" in results[1]);
    assert.equal(results[1].error.code, "token_out_of_range");
    const long = await refusal("tokenize", { texts: "a".repeat(20_001) });
    assert.equal(long.code, "input_too_long");
    assert.equal((await refusal("tokenize", { text: "a" })).code, "bad_request");
    assert.equal(
      (await refusal("tokenize", { model: "none", texts: "a" })).code,
      "model_not_found",
    );
  });

  test("a long text is tokenised beside the event loop, by the same model", async () => {
    const tokens = await tokensOf({ texts: "hello worlds ".repeat(1_500) });
    assert.equal(tokens.length, 4_502);
    const [last] = tokens.slice(-2);
    assert.deepEqual(last, { id: 11, text: "##s", special: false, start: 19_498, stop: 19_499 });
  });

  test("what their results hold is counted, so that a large request is refused and not held", async () => {
    const body = { texts: Array.from({ length: 10 }, () => "a ".repeat(9_000)) };
    assert.equal((await refusal("tokenize", body)).code, "body_too_large");
  });
});

test("the list of models says what their vectors and labels are", async () => {
  const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelsResponse;
  const told = new Map(models.map(({ name, embedding, labels }) => [name, { embedding, labels }]));
  assert.deepEqual(told.get("plain"), {
    embedding: { pooling: "mean", width: 4, normalize: false },
    labels: undefined,
  });
  assert.deepEqual(told.get("labels"), { embedding: undefined, labels: ["x", "y", "z"] });
});
