/** DeepL's own client in front of real pipelines, unchanged but for the address; and what it is told when something is wrong. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as deepl from "deepl-node";
import { type ErrorCode, MillraceError } from "millrace-client/wire";
import { openDeepLFront } from "#src/front/deepl/deepl.js";
import { type LanguageModel, modelBetween } from "#src/front/deepl/languages.js";
import { readForm } from "#src/front/form.js";
import { openInferenceV2Front } from "#src/front/inference-v2/inference-v2.js";
import type { MillraceServer } from "#src/index.js";
import { TestFront } from "../support/http-front.js";
import { outcomeOf, sentences, startReal, translate } from "../support/real-server.js";

let server: MillraceServer;
let client: deepl.Translator;

before(async () => {
  server = await startReal({ pipelines: 1 });
  client = clientOf(server.url);
});

after(async () => {
  await server.close();
});

function clientOf(serverUrl: string): deepl.Translator {
  return new deepl.Translator("anything:fx", { serverUrl, maxRetries: 0 });
}

async function native(texts: readonly string[], settings: object = {}): Promise<string[]> {
  const { results } = await translate(server.url, { model: "en-zh", texts, ...settings });
  return results.map(outcomeOf);
}

const json = async (body: unknown): Promise<{ status: number; body: string }> => {
  const response = await fetch(`${server.url}/v2/translate`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "DeepL-Auth-Key x" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.text() };
};

describe("translations", () => {
  test("many texts come in order, and are the native route's", async () => {
    const asked = sentences.slice(0, 5);
    const results = await client.translateText([...asked], "en", "zh");
    assert.deepEqual(
      results.map(({ text }) => text),
      await native(asked),
    );
    for (const [index, { detectedSourceLang, billedCharacters }] of results.entries()) {
      assert.equal(detectedSourceLang, "en");
      assert.equal(billedCharacters, asked[index]?.length);
    }
  });

  test("one text; nobody names its language: the only one of models to Chinese", async () => {
    const { text, detectedSourceLang } = await client.translateText(
      "Where is the station?",
      null,
      "zh-Hans" as deepl.TargetLanguageCode,
    );
    assert.deepEqual([text], await native(["Where is the station?"]));
    assert.equal(detectedSourceLang, "en");
  });

  test("a paragraph keeps its line breaks; 0 splits nothing; nonewlines joins lines and keeps paragraphs", async () => {
    const page = "Good morning.\nWhere is\nthe station?\n\nThank you & 100% + more! \n";
    const { text } = await client.translateText(page, "en", "zh");
    assert.deepEqual([text], await native([page]));
    assert.equal(text.match(/\n/g)?.length, 5);
    const whole = await client.translateText(page, "en", "zh", { splitSentences: "off" });
    assert.deepEqual([whole.text], await native([page], { split: false }));
    const joined = await client.translateText(page, "en", "zh", { splitSentences: "nonewlines" });
    const expected = "Good morning. Where is the station?\n\nThank you & 100% + more! \n";
    assert.deepEqual([joined.text], await native([expected]));
    assert.equal(joined.billedCharacters, page.length, "of what was sent");
  });

  test("JSON says the same as the form", async () => {
    const { status, body } = await json({
      text: ["Hello, 😀!", "Thank you."],
      source_lang: "EN",
      target_lang: "ZH",
      show_billed_characters: true,
      split_sentences: "1",
      formality: "prefer_more",
      preserve_formatting: true,
      model_type: "latency_optimized",
      context: "at the door",
      tag_handling: "",
    });
    const [hello, thanks] = await native(["Hello, 😀!", "Thank you."]);
    assert.equal(status, 200, body);
    assert.deepEqual(JSON.parse(body), {
      translations: [
        { detected_source_language: "EN", text: hello, billed_characters: 9 },
        { detected_source_language: "EN", text: thanks, billed_characters: 10 },
      ],
    });
    const plain = JSON.parse(
      (await json({ text: "Thank you.", target_lang: "zh" })).body,
    ) as object;
    assert.deepEqual(plain, { translations: [{ detected_source_language: "EN", text: thanks }] });
  });
});

describe("what is there", () => {
  test("usage, languages, glossaries", async () => {
    const { character, document } = await client.getUsage();
    assert.deepEqual([character?.count, character?.limit], [0, 1e12]);
    assert.equal(character?.limitReached(), false);
    assert.equal(document, undefined);
    assert.deepEqual(await client.getSourceLanguages(), [{ name: "English", code: "en" }]);
    assert.deepEqual(await client.getTargetLanguages(), [
      { name: "Chinese", code: "zh", supportsFormality: false },
      { name: "Simplified Chinese", code: "zh-HANS", supportsFormality: false },
    ]);
    assert.deepEqual(await client.getGlossaryLanguagePairs(), []);
  });
});

describe("what is wrong is told as the client expects it", () => {
  const translated = (
    target: string,
    options: deepl.TranslateTextOptions = {},
    source: string | null = "en",
  ): Promise<unknown> =>
    client.translateText(
      ["Yes."],
      source as deepl.SourceLanguageCode,
      target as deepl.TargetLanguageCode,
      options,
    );
  const cases: readonly (readonly [what: string, ask: () => Promise<unknown>, says: RegExp])[] = [
    [
      "no model to that language",
      () => translated("de"),
      /Bad request.*target_lang "de"; there are: EN to ZH/,
    ],
    [
      "none from that language",
      () => translated("zh", {}, "fr"),
      /Bad request.*source_lang "fr" with target_lang "zh"; there are: EN to ZH/,
    ],
    ["the other script", () => translated("zh-Hant"), /Bad request.*"zh-HANT"/],
    [
      "a tone",
      () => translated("zh", { formality: "more" }),
      /Bad request.*formality.*prefer_more/,
    ],
    [
      "tags",
      () => translated("zh", { tagHandling: "xml" }),
      /Bad request.*tag_handling.*not supported/,
    ],
    [
      "a glossary",
      () => translated("zh", { glossary: "8f9a" }),
      /Bad request.*glossary_id.*not supported/,
    ],
    [
      "instructions",
      () => translated("zh", { customInstructions: ["be kind"] }),
      /Bad request.*custom_instructions/,
    ],
    [
      "a field of nobody's",
      () => translated("zh", { extraRequestParameters: { tone: "kind" } }),
      /Bad request.*tone/,
    ],
    [
      "one text that is too long, whole",
      () =>
        client.translateText(["Yes.", "No. ".repeat(200)], "en", "zh", { splitSentences: "off" }),
      /Bad request.*text\[1\] has \d+ tokens/,
    ],
    [
      "a document",
      () => client.getDocumentStatus({ documentId: "a", documentKey: "b" }),
      /Not found.*no route/,
    ],
  ];
  for (const [what, ask, says] of cases) {
    test(what, async () => {
      await assert.rejects(ask(), (error: Error) => {
        assert.equal(error.constructor, deepl.DeepLError);
        assert.match(error.message, says);
        return true;
      });
    });
  }

  test("bodies that are none", async () => {
    assert.deepEqual(await json([]), {
      status: 400,
      body: '{"message":"The body must be a JSON object, not a list."}',
    });
    for (const [body, status, says] of [
      [{ text: [], target_lang: "zh" }, 400, /`text` is empty/],
      [{ text: [7], target_lang: "zh" }, 400, /text/],
      [{ text: ["a", "\ud800"], target_lang: "zh" }, 400, /`text\[1\]` holds a lone surrogate/],
      [{ text: "a" }, 400, /target_lang/],
    ] as const) {
      const answer = await json(body);
      assert.equal(answer.status, status, answer.body);
      assert.match(answer.body, says);
    }
    const form = async (body: string): Promise<string> => {
      const headers = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
      const response = await fetch(`${server.url}/v2/translate`, { method: "POST", headers, body });
      return `${response.status} ${await response.text()}`;
    };
    assert.match(
      await form("text=a&target_lang=zh&target_lang=de"),
      /^400 .*`target_lang`: is there twice/,
    );
    assert.match(await form("text=%ff&target_lang=zh"), /^400 .*not UTF-8/);
    assert.match(await form("text=%e4%b8&target_lang=zh"), /^400 .*not UTF-8/);
    assert.match(await form(""), /^400 /);
    assert.match(await form("&".repeat(1_000_000)), /^413 .*fields/);
  });
});

describe("what the server refuses, before an echo", () => {
  const refusals: readonly (readonly [code: ErrorCode, kind: typeof deepl.DeepLError])[] = [
    ["unauthenticated", deepl.AuthorizationError],
    ["forbidden", deepl.AuthorizationError],
    ["quota_exceeded", deepl.QuotaExceededError],
    ["rate_limited", deepl.TooManyRequestsError],
    ["queue_full", deepl.TooManyRequestsError],
    ["not_ready", deepl.DeepLError],
    ["draining", deepl.DeepLError],
    ["deadline_exceeded", deepl.DeepLError],
    ["internal", deepl.DeepLError],
  ];
  const echoing = { sourceLanguage: "en", targetLanguage: "de" };

  test("each by its class", async () => {
    await using front = await TestFront.start({}, {}, [openDeepLFront]);
    front.languages = echoing;
    const asker = clientOf(front.url);
    for (const [code, kind] of refusals) {
      front.submit.refuseWith = new MillraceError(code, `it is ${code}`);
      await assert.rejects(asker.translateText("a", null, "de"), (error: Error) => {
        assert.equal(error.constructor, kind, code);
        assert.match(error.message, new RegExp(`it is ${code}`));
        return true;
      });
    }
  });

  test("one bad text among good ones fails the request, and says which", async () => {
    await using front = await TestFront.start({}, {}, [openDeepLFront]);
    front.languages = echoing;
    const asked = clientOf(front.url).translateText(["a", "b", "!c", "d"], "en", "de");
    await assert.rejects(asked, /message: text\[2\]: It begins with a bang/);
    front.submit.orderOf = (count) => [...Array(count).keys()].reverse();
    const results = await clientOf(front.url).translateText(["ab", "cd"], "en", "de");
    assert.deepEqual(
      results.map(({ text }) => text),
      ["ba", "dc"],
    );
  });

  test("under /v2 each protocol has its own words for what is not there", async () => {
    await using front = await TestFront.start({}, {}, [openInferenceV2Front, openDeepLFront]);
    const words = async (path: string): Promise<string> => {
      const response = await fetch(`${front.url}${path}`);
      return `${response.status} ${Object.keys((await response.json()) as object).join()}`;
    };
    assert.equal(await words("/v2/glossaries"), "404 message");
    assert.equal(await words("/v2/translate"), "405 message");
    assert.equal(await words("/v2/models/none"), "404 error");
    assert.equal(await words("/v2"), "200 name,version,extensions");
    assert.equal(await words("/v2/languages?type=other"), "400 message");
  });
});

describe("languages", () => {
  const between = (
    name: string,
    [sourceLanguage, targetLanguage]: readonly [string, string],
    ready = true,
  ): LanguageModel => ({ name, sourceLanguage, targetLanguage, ready });
  const models = [
    between("broken", ["en", "pt"], false),
    between("to-pt", ["en", "pt"]),
    between("to-br", ["en", "pt_BR"]),
    between("to-hant", ["en", "zh-TW"]),
    between("to-zh", ["en", "zh"]),
    between("de-en", ["de", "en"]),
    between("fr-en", ["fr", "en"]),
  ];
  const cases: readonly (readonly [
    source: string | null,
    target: string,
    expected: string | RegExp,
  ])[] = [
    ["EN", "PT-BR", "to-br"],
    ["en", "pt-PT", "to-pt"],
    ["EN-GB", "PT", "to-pt"],
    [null, "ZH", "to-zh"],
    [null, "ZH-HANS", "to-zh"],
    [null, "zh-Hant", "to-hant"],
    ["DE", "EN-US", "de-en"],
    ["fr", "EN-GB", "fr-en"],
    [null, "EN-GB", /`source_lang` is needed.*DE, FR/],
    ["ja", "en-us", /No model.*"ja" with target_lang "en-us".*DE to EN/],
    ["en", "xx", /No model is served for target_lang "xx"/],
  ];
  for (const [source, target, expected] of cases) {
    test(`${source ?? "anything"} to ${target}`, () => {
      const found = (): string => modelBetween({ source, target }, models).name;
      if (typeof expected === "string") assert.equal(found(), expected);
      else assert.throws(found, expected);
    });
  }

  test("without any model the answer says so", () => {
    assert.throws(() => modelBetween({ source: null, target: "de" }, []), /there are: none/);
  });
});

test("a form: plus is a space, names are escaped too, and no name is special", () => {
  const limits = { repeated: "text", repeatedMax: 2 };
  assert.deepEqual(readForm("text=a+b%2B&%74ext=&x", limits), { text: ["a b+", ""], x: "" });
  assert.deepEqual(readForm("text=%EF%BB%BF%C3%A9%e4%B8%ad&text=é", limits), {
    text: ["\ufeffé中", "é"],
  });
  for (const bad of ["text=%", "text=%4", "text=%4g", "text=%%41", "text=%ff%41"]) {
    assert.throws(() => readForm(bad, limits), { name: "MillraceError" }, bad);
  }
  const odd = readForm("__proto__=1&constructor=2", limits);
  assert.deepEqual(Object.entries(odd), [
    ["__proto__", "1"],
    ["constructor", "2"],
  ]);
  assert.throws(() => readForm("a&".repeat(99), limits), { code: "too_many_items" });
});
