/** A model as OpenAI's clients read it: a member of `GET /v1/models`, and the answer to `GET /v1/models/{model}`. */
import type { ListedModel, ModelInfo } from "millrace-client/wire";
import type { JsonObject } from "../work/payload.js";

/** In seconds. Nobody says when a model was made; the same for all, so that it does not change from look to look. */
const created = Math.floor(performance.timeOrigin / 1_000);

export function listedModel({ name }: Pick<ModelInfo, "name">): ListedModel {
  return { id: name, object: "model", created, owned_by: "millrace" };
}

export const listedModelSchema: JsonObject = {
  type: "object",
  required: ["id", "object", "created", "owned_by"],
  properties: {
    id: { type: "string" },
    object: { const: "model" },
    created: { type: "integer", description: "Unix time of the server's start." },
    owned_by: { type: "string" },
  },
};
