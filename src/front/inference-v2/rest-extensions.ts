/** Triton's extensions over HTTP: their routes, and what is said of them to who reads the description. */
import { z } from "zod";
import type { Exchange, Reply, Route } from "../../listen/http/http-front.js";
import { parseJson } from "../../work/json-object.js";
import { readAs, schemaOf } from "../json-body.js";
import {
  configOf,
  refuseLoadParameters,
  repositoryIndex,
  repositoryOf,
  statisticsOf,
} from "./triton-extensions.js";
import type { V2Models } from "./v2-models.js";

const indexBody = z.looseObject({ ready: z.boolean().optional() });
const loadBody = z.looseObject({ parameters: z.record(z.string(), z.unknown()).optional() });
const object = { type: "object" } as const;
const json = "application/json";

export function extensionRoutes(
  models: V2Models,
  reply: (status: number, body: object) => Reply,
): Route[] {
  const question = (
    path: string,
    summary: string,
    answer: (exchange: Exchange) => object,
  ): Route => ({
    path,
    method: "GET",
    fromMemory: true,
    doc: { summary, reply: { [json]: object } },
    handler: (exchange) => exchange.reply(reply(200, answer(exchange))),
  });
  const model = "/v2/models/{model}";
  const all = "/v2/models/stats";
  return [
    question(all, "What became of the requests and runs of all models.", ({ caller }) =>
      statisticsOf(models, "", { caller }),
    ),
    ...[model, `${model}/versions/{version}`].flatMap((path) => [
      question(
        `${path}/stats`,
        "What became of a model's requests and runs since the start.",
        ({ caller, params: { model: name = "", version } }) =>
          statisticsOf(models, name, { caller, version }),
      ),
      question(
        `${path}/config`,
        "A model's tensors in Triton's words.",
        ({ caller, params: { model: name = "", version } }) =>
          configOf(models, models.find(name, { caller, version })),
      ),
    ]),
    ...repositoryRoutes(models, reply),
  ];
}

function repositoryRoutes(
  models: V2Models,
  reply: (status: number, body: object) => Reply,
): Route[] {
  const change = (
    verb: "load" | "unload",
    summary: string,
    act: (name: string) => void | Promise<void>,
  ): Route => ({
    path: `/v2/repository/models/{model}/${verb}`,
    method: "POST",
    access: "admin",
    doc: { summary, request: { [json]: schemaOf(loadBody) }, reply: { [json]: object } },
    handler: async (exchange) => {
      const { parameters = {} } = await bodyOf(exchange, loadBody);
      refuseLoadParameters(parameters);
      await act(exchange.params["model"] ?? "");
      exchange.reply(reply(200, {}));
    },
  });
  return [
    {
      path: "/v2/repository/index",
      method: "POST",
      doc: {
        summary: "The models of the folder, served or not, each with its state.",
        request: { [json]: schemaOf(indexBody) },
        reply: { [json]: { type: "array", items: object } },
      },
      handler: async (exchange) => {
        const { ready = false } = await bodyOf(exchange, indexBody);
        exchange.reply(reply(200, repositoryIndex(models, exchange.caller, ready)));
      },
    },
    change("load", "Serves a model as its folder is now, and has it loaded.", (name) =>
      repositoryOf(models).load(name),
    ),
    change("unload", "Serves a model no more, until it is loaded again.", (name) =>
      repositoryOf(models).unload(name),
    ),
  ];
}

/** Triton's own clients send nothing where there is nothing to say, and no type of it. */
async function bodyOf<Value>(exchange: Exchange, schema: z.ZodType<Value>): Promise<Value> {
  const body = await exchange.receive();
  try {
    const text = body.text().trim();
    return readAs(schema, text === "" ? {} : parseJson(text));
  } finally {
    body.release();
  }
}
