/** Keys in the official clients of OpenAI and DeepL: how each hears of one that is wrong, that may not, or that is used up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as deepl from "deepl-node";
import OpenAI, {
  AuthenticationError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from "openai";
import { changeKeyFile, type KeyRecord, newKey } from "#src/access/key-file.js";
import { startEcho } from "../support/echo-server.js";
import { TempDir } from "../support/temp-dir.js";

test("a key that is wrong, that may not, and that is used up", { timeout: 30_000 }, async () => {
  await using dir = await TempDir.make();
  const path = dir.file("keys.json");
  await changeKeyFile(path, () => [], "create");
  const add = async (name: string, more: Partial<KeyRecord> = {}): Promise<string> => {
    const { key, sha256 } = newKey();
    const record = { name, sha256, createdAt: new Date().toISOString(), ...more };
    await changeKeyFile(path, (keys) => [...keys, record], "refuse");
    return key;
  };
  const limited = await add("limited", { models: ["other"], quotaPerMonth: 3 });
  await using echo = await startEcho({ keys: path });
  const { url } = echo.server;
  const openai = (apiKey: string): OpenAI =>
    new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 1 });
  const translator = (key: string): deepl.Translator =>
    new deepl.Translator(key, { serverUrl: url, maxRetries: 0 });

  const wrong = await openai("sk-wrong")
    .embeddings.create({ model: "other", input: "a" })
    .catch((error: unknown) => error);
  assert.ok(wrong instanceof AuthenticationError);
  assert.deepEqual([wrong.code, wrong.type], ["invalid_api_key", "invalid_request_error"]);
  await assert.rejects(openai("sk-wrong").models.retrieve("other"), AuthenticationError);
  await assert.rejects(openai("sk-wrong").models.list(), AuthenticationError);
  await assert.rejects(
    translator("wrong:fx").translateText("a", "en", "de"),
    deepl.AuthorizationError,
  );
  await assert.rejects(translator("wrong").getUsage(), deepl.AuthorizationError);

  const key = openai(limited);
  const { data } = await key.models.list();
  assert.deepEqual(
    data.map(({ id }) => id),
    ["other"],
  );
  await assert.rejects(key.models.retrieve("echo"), NotFoundError);
  await assert.rejects(key.embeddings.create({ model: "echo", input: "a" }), PermissionDeniedError);

  const own = translator(limited);
  const results = await own.translateText(["abc", "de"], "en", "de");
  assert.deepEqual(
    results.map(({ text }) => text),
    ["cba", "ed"],
  );
  assert.deepEqual(
    echo.submit.seen.map(({ request }) => [request.model, request.tenant]),
    [["other", "limited"]],
  );
  const { character, anyLimitReached } = await own.getUsage().then((usage) => ({
    character: usage.character,
    anyLimitReached: usage.anyLimitReached(),
  }));
  assert.deepEqual([character?.count, character?.limit, anyLimitReached], [5, 1e12, false]);
  await assert.rejects(own.translateText(["a", "b"], "en", "de"), deepl.QuotaExceededError);
  await own.translateText("f", "en", "de");
  const usedUp = await own.getUsage();
  assert.deepEqual([usedUp.character?.count, usedUp.anyLimitReached()], [6, true]);

  const none = await add("none", { quotaPerMonth: 0 });
  await using second = await startEcho({ keys: path });
  const refused = await new OpenAI({
    baseURL: `${second.server.url}/v1`,
    apiKey: none,
    maxRetries: 1,
  }).embeddings
    .create({ model: "echo", input: "a" })
    .catch((error: unknown) => error);
  assert.ok(refused instanceof RateLimitError);
  assert.deepEqual([refused.code, refused.type], ["insufficient_quota", "insufficient_quota"]);
  assert.equal(refused.headers.get("x-should-retry"), "false");
});
