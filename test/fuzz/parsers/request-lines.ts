/** Lines of an OpenAI batch: each is a request, or has an error that says where; results of what comes out are lines again. */
import { MillraceError } from "millrace-client/wire";
import { readRequestLine, responseLine } from "#src/jobs/request-lines.js";
import { mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

const endpoint = "/v1/embeddings";
const good: readonly object[] = [
  { custom_id: "a", method: "POST", url: endpoint, body: { model: "m", input: ["x", "y"] } },
  { custom_id: 'b"\n\u2028', method: "POST", url: endpoint, body: { input: [[1, 2], [3]], x: {} } },
];

export const requestLineParser: FuzzParser = defineParser<string>({
  name: "request-lines",
  open: () => ({
    make: (random) => {
      const line = random.pick(good);
      if (random.chance(goodShare)) return JSON.stringify(line);
      if (random.chance(0.7)) return mutateJson(random, line);
      const others = good.map((each) => Buffer.from(JSON.stringify(each)));
      return mutateBytes(random, Buffer.from(JSON.stringify(line)), others).toString("utf8");
    },
    take: (text) => {
      const read = readRequestLine(text, { line: 1, endpoint });
      if ("error" in read) throw new MillraceError(read.error.code, read.error.message);
      const { customId, body } = read.request;
      const of = { requestId: "req_1", customId };
      const result = responseLine(of, { status: 200, text: JSON.stringify(body) });
      const { custom_id: again } = JSON.parse(result) as { readonly custom_id: string };
      if (result.includes("\n") || again !== customId) throw new Error(`no line: ${result}`);
    },
  }),
});
