/** Bodies of the other protocols over HTTP, from their bytes to what submit is asked, and back. */
import { MillraceError } from "millrace-client/wire";
import { openDeepLFront } from "#src/front/deepl/deepl.js";
import type { OpenFront } from "#src/front/front.js";
import { openHuggingfaceFront } from "#src/front/huggingface/huggingface.js";
import { openOpenAiFront } from "#src/front/openai/openai.js";
import { openTeiFront } from "#src/front/tei/tei.js";
import type { Exchange, Route } from "#src/listen/http/http-front.js";
import { anyCaller } from "#src/work/caller.js";
import type { Random } from "../../sim/random.js";
import { mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";
import { fuzzFrontParts } from "./fuzz-front-parts.js";

interface Protocol {
  readonly name: string;
  readonly front: OpenFront;
  readonly path: string;
  /** Of a path that ends in `*`. */
  readonly rest?: string;
  readonly contentType: string;
  /** Objects become JSON; texts are sent as they are. */
  readonly bodies: readonly (object | string)[];
}

const json = "application/json";
const deeplTexts = { text: ["Hello. A second one.", "World"], target_lang: "ZH" };

const protocols: readonly Protocol[] = [
  {
    name: "openai-embeddings",
    front: openOpenAiFront,
    path: "/v1/embeddings",
    contentType: json,
    bodies: [
      { model: "embed", input: ["hello", "good"], encoding_format: "base64", user: "u" },
      { model: "embed", input: [[1, 2], [3]], dimensions: 2 },
      { model: "embed", input: "hello", encoding_format: "float" },
    ],
  },
  {
    name: "deepl-json",
    front: openDeepLFront,
    path: "/v2/translate",
    contentType: json,
    bodies: [
      { ...deeplTexts, source_lang: "EN", split_sentences: "1", preserve_formatting: true },
      { ...deeplTexts, formality: "prefer_less", show_billed_characters: true },
    ],
  },
  {
    name: "deepl-form",
    front: openDeepLFront,
    path: "/v2/translate",
    contentType: "application/x-www-form-urlencoded",
    bodies: [
      "text=Hello+world&text=%E9%B1%BC&target_lang=ZH&source_lang=EN",
      "text=One.%0ATwo.&target_lang=zh&split_sentences=nonewlines&preserve_formatting=1",
    ],
  },
  ...(
    [
      ["embed", { inputs: ["hello", "good"], normalize: false, dimensions: 2, truncate: true }],
      ["embed_all", { inputs: [[1, 2], [3]], truncation_direction: "Left", prompt_name: null }],
      ["similarity", { inputs: { source_sentence: "a", sentences: ["b", "c"] }, parameters: {} }],
      ["predict", { inputs: [["a", "b"], ["c"]], raw_scores: true }],
      ["rerank", { query: "q", texts: ["a", "b"], return_text: true, truncate: null }],
      ["tokenize", { inputs: ["a", "b"], add_special_tokens: false }],
      ["decode", { ids: [[1, 2], [3]], skip_special_tokens: false }],
      ["vertex", { instances: [{ inputs: "a" }, { inputs: [1, 2], normalize: true }] }],
    ] as const
  ).map(([name, body]) => ({
    name: `tei-${name}`,
    front: openTeiFront,
    path: `/${name}`,
    contentType: json,
    bodies: [body],
  })),
  ...(
    [
      ["embed", [{ inputs: ["a", "b"], parameters: { normalize: true, dimensions: 2 } }]],
      ["embed", [{ inputs: { source_sentence: "a", sentences: ["b"] }, options: { x: 1 } }]],
      [
        "classify",
        [
          { inputs: [{ text: "a", text_pair: "b" }, "c"], parameters: { top_k: 1 } },
          { inputs: "a", function_to_apply: "sigmoid", truncation: "only_first" },
        ],
      ],
      [
        "translate",
        [
          {
            inputs: ["a", "b"],
            parameters: { src_lang: "en", generate_parameters: { num_beams: 2 } },
          },
        ],
      ],
    ] as const
  ).map(([model, bodies], at) => ({
    name: `huggingface-${model}${at === 1 ? "-compared" : ""}`,
    front: openHuggingfaceFront,
    path: "/models/*",
    rest: model,
    contentType: json,
    bodies,
  })),
];

export const httpFrontParsers: readonly FuzzParser[] = protocols.map((protocol) =>
  defineParser<Buffer>({
    name: protocol.name,
    open: () => {
      const { http } = protocol.front(fuzzFrontParts());
      const route = http?.routes.find(
        ({ path, method }) => path === protocol.path && method === "POST",
      );
      if (route === undefined) throw new Error(`there is no route ${protocol.path}`);
      return {
        make: (random) => bodyOf(random, protocol),
        take: (body) => answer(route, body, protocol),
      };
    },
  }),
);

function bodyOf(random: Random, { bodies }: Protocol): Buffer {
  const good = random.pick(bodies);
  const text = typeof good === "string" ? good : JSON.stringify(good);
  if (random.chance(goodShare)) return Buffer.from(text);
  if (typeof good === "object" && random.chance(0.8)) return Buffer.from(mutateJson(random, good));
  const others = bodies.filter((each) => typeof each === "string").map((each) => Buffer.from(each));
  return mutateBytes(random, Buffer.from(text), others);
}

const utf8 = { fatal: true } as const;

async function answer(route: Route, body: Buffer, { contentType, rest }: Protocol): Promise<void> {
  let isReplied = false;
  const exchange: Exchange = {
    id: "1",
    caller: anyCaller,
    arrivedAtMs: performance.now(),
    params: rest === undefined ? {} : { rest },
    query: new URLSearchParams(),
    headers: { "content-type": contentType },
    departed: new AbortController().signal,
    workClass: "none",
    receive: () =>
      Promise.resolve({
        bytes: body.length,
        buffer: () => body,
        text: () => decoded(body),
        release: () => {},
      }),
    receiveStream: () => {
      throw new Error("its bodies are read as a whole");
    },
    reply: () => {
      isReplied = true;
    },
    stream: () => {
      throw new Error("it replies at once");
    },
    told: (thrown) => {
      throw thrown;
    },
  };
  await route.handler(exchange);
  if (!isReplied) throw new Error("no reply, and no error");
}

function decoded(body: Buffer): string {
  try {
    return new TextDecoder("utf-8", utf8).decode(body);
  } catch (cause) {
    throw new MillraceError("bad_encoding", "no UTF-8", { cause });
  }
}
