/** `/v1/profile`: what a thread of the server does, for whoever may administrate. */
import { profileSecondsDefault, profileSecondsMax } from "millrace-client/wire";
import type { Route } from "../../listen/http/http-front.js";
import { frontName, type Profiles } from "../../profile/profiles.js";
import { badField, show } from "../../work/fields.js";
import { jsonReply } from "../json-reply.js";
import { queryCount, queryFlag, refuseUnknownQuery } from "./query.js";
import { nativeDocs } from "./route-docs.js";

const profileId = /^[\w-]{1,64}$/;

export function profileRoutes(profiles: Profiles): readonly Route[] {
  const path = "/v1/profile";
  return [
    {
      path,
      method: "POST",
      access: "admin",
      doc: nativeDocs.profile,
      handler: async (exchange) => {
        const { query, departed } = exchange;
        refuseUnknownQuery(query, ["of", "seconds", "operators", "id"]);
        const given = queryCount(query, "seconds", [1, profileSecondsMax]);
        const seconds = given ?? profileSecondsDefault;
        const of = query.get("of") ?? frontName;
        const operators = queryFlag(query, "operators");
        const asked = { of, ms: seconds * 1_000, operators, ...idIn(query) };
        exchange.reply(jsonReply(200, await profiles.take(asked, departed)));
      },
    },
    {
      path,
      method: "DELETE",
      access: "admin",
      doc: nativeDocs.endProfile,
      handler: (exchange) => {
        const { query } = exchange;
        refuseUnknownQuery(query, ["id"]);
        exchange.reply(jsonReply(200, { ended: profiles.end(idIn(query).id) }));
      },
    },
  ];
}

/** @throws MillraceError `bad_request` */
function idIn(query: URLSearchParams): { readonly id?: string } {
  const id = query.get("id");
  if (id === null) return {};
  if (profileId.test(id)) return { id };
  throw badField("id", `must be 1 to 64 letters, digits, _ and -, not ${show(id)}`);
}
