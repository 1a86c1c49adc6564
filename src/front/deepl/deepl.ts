/**
 * READ FIRST of this folder. DeepL's protocol, for its clients: texts and languages; which model that is they do not know.
 *
 *   translate.ts   a request, as JSON or as a form (form.ts) → submit → translations
 *   languages.ts   its names of languages → the model (models.ts: which there are)
 */
import { MillraceError } from "millrace-client/wire";
import type { KeyUsage } from "../../access/access.js";
import type { Exchange, HttpFront, Reply, Route, RouteDoc } from "../../listen/http/http-front.js";
import type { JsonObject } from "../../work/payload.js";
import type { Front, FrontParts } from "../front.js";
import { deepLError, deepLErrorSchema } from "./errors.js";
import { codeOf, languageNameOf, targetCodesOf } from "./languages.js";
import { translationModels } from "./models.js";
import { answerTranslate, translateDoc } from "./translate.js";

export function openDeepLFront(parts: FrontParts): Front {
  return { http: new DeepLFront(parts) };
}

/** What that protocol says for as much as one likes. */
const unlimited = 1_000_000_000_000;

const json = "application/json";

class DeepLFront implements HttpFront {
  readonly name = "deepl";
  readonly routes: readonly Route[];
  /** With what its clients have methods for and is not served: they show this front's words. */
  readonly pathPrefixes: readonly string[] = [
    "/v2/translate",
    "/v2/usage",
    "/v2/languages",
    "/v2/glossar",
    "/v2/document",
    "/v2/write",
    "/v3/",
  ];
  readonly errorSchema = deepLErrorSchema;
  readonly #parts: FrontParts;

  constructor(parts: FrontParts) {
    this.#parts = parts;
    const get = (path: string, doc: RouteDoc, answer: (exchange: Exchange) => object): Route => ({
      path,
      method: "GET",
      doc,
      handler: (exchange) => {
        const body = JSON.stringify(answer(exchange));
        exchange.reply({ status: 200, contentType: json, body });
      },
    });
    this.routes = [
      {
        path: "/v2/translate",
        method: "POST",
        doc: translateDoc,
        handler: (exchange) => answerTranslate(exchange, parts),
      },
      get("/v2/languages", languagesDoc, (exchange) => this.#languages(exchange)),
      get("/v2/usage", usageDoc, ({ caller }) => usageOf(parts.submit.usageOf(caller))),
      get("/v2/glossary-language-pairs", glossaryDoc, () => ({ supported_languages: [] })),
    ];
  }

  renderError(error: MillraceError): Reply {
    return deepLError(error);
  }

  #languages({ query, caller }: Exchange): object {
    const type = query.get("type") ?? "source";
    if (type !== "source" && type !== "target") {
      const message = `\`type\` must be source or target, not ${JSON.stringify(type.slice(0, 32))}.`;
      throw new MillraceError("bad_request", message, { param: "type" });
    }
    const isTarget = type === "target";
    const codes = translationModels(this.#parts.views, caller).flatMap((model) =>
      isTarget ? targetCodesOf(model.targetLanguage) : codeOf(model.sourceLanguage),
    );
    return [...new Set(codes)].toSorted().map((language) => ({
      language,
      name: languageNameOf(language),
      ...(isTarget ? { supports_formality: false } : {}),
    }));
  }
}

/** A key's quota is one of inputs, whatever their length: it is told as reached or not. */
function usageOf(usage: KeyUsage | null): object {
  const { characters, inputs, inputsMax } = usage ?? { characters: 0, inputs: 0, inputsMax: null };
  const isUsedUp = inputsMax !== null && inputs >= inputsMax;
  return { character_count: characters, character_limit: isUsedUp ? characters : unlimited };
}

function documented(summary: string, schema: JsonObject): RouteDoc {
  return { summary, reply: { [json]: schema } };
}

const languagesDoc = {
  ...documented("The languages that models translate from or to", {
    type: "array",
    items: {
      type: "object",
      required: ["language", "name"],
      properties: {
        language: { type: "string" },
        name: { type: "string" },
        supports_formality: { const: false },
      },
    },
  }),
  query: {
    type: { schema: { enum: ["source", "target"] }, description: "Default: source." },
  },
};

const usageDoc = documented("Characters of this period, and how many there may be", {
  type: "object",
  required: ["character_count", "character_limit"],
  properties: {
    character_count: { type: "integer", minimum: 0 },
    character_limit: { type: "integer", minimum: 0 },
  },
});

const glossaryDoc = documented("There are no glossaries: an empty list", {
  type: "object",
  required: ["supported_languages"],
  properties: { supported_languages: { type: "array", maxItems: 0 } },
});
