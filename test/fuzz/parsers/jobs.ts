/** What makes a job, from its bytes as they come to its lines; and the client's reader of events. */
import { isDeepStrictEqual } from "node:util";
import { headAndLines } from "#src/front/native/job-lines.js";
import { readJobHead } from "#src/front/native/job-request.js";
import { tasks } from "#src/tasks/table.js";
import { parseObject } from "#src/work/json-object.js";
import { mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

const heads: readonly object[] = [
  { task: "translate", model: "en-zh", beams: 4, tenant: "shop", timeoutMs: 60_000 },
  { task: "embed", normalize: true, metadata: { of: "me" }, callback: "https://example.org/done" },
];
const inputs: readonly unknown[] = ["鱼 🐟", { texts: ["a"], beams: 1 }, ""];

interface CutBytes {
  readonly bytes: Buffer;
  readonly cut: number;
}

const served = [...tasks].map(([name, form]) => ({ ...form, name }));

async function* piecesOf({ bytes, cut }: CutBytes): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += cut) yield bytes.subarray(at, at + cut);
}

export const jobParser: FuzzParser = defineParser<CutBytes>({
  name: "jobs",
  open: () => ({
    make: (random) => {
      const isGood = random.chance(goodShare);
      const head = random.pick(heads);
      const first = isGood || random.chance(0.3) ? JSON.stringify(head) : mutateJson(random, head);
      const lines = [first, ...inputs.map((input) => JSON.stringify(input))];
      const whole = Buffer.from(lines.join("\n"));
      const bytes = isGood || random.chance(0.5) ? whole : mutateBytes(random, whole);
      return { bytes, cut: random.int(1, 64) * (bytes.length < 2_048 ? 1 : 1_024) };
    },
    take: async (input) => {
      const { head, lines } = await headAndLines(piecesOf(input));
      const { form } = readJobHead(parseObject(head), served);
      if (form.kind !== "native") throw new Error("a job of another kind");
      let bytes = 0;
      for await (const piece of lines) bytes += piece.length;
      const feed = input.bytes.indexOf(10);
      if (feed === -1 || bytes !== input.bytes.length - feed - 1) {
        throw new Error("the lines are not what stands behind the head");
      }
    },
  }),
});

interface EventReader {
  push(bytes: Uint8Array): object[];
}

/** It is no export of the package: what is compiled beside it is loaded. */
async function openReader(): Promise<new () => EventReader> {
  const url = new URL("../../../../client/dist/server-events.js", import.meta.url);
  const { ServerEventParser } = (await import(url.href)) as {
    readonly ServerEventParser: new () => EventReader;
  };
  return ServerEventParser;
}

const comparedBytesMax = 64 * 1024;
const events =
  'retry: 1000\n\nevent: progress\ndata: {"id":"鱼 🐟"}\n\n: alive\r\n\r\nevent: end\ndata: a\ndata: b\n\n';

export const serverEventParser: FuzzParser = defineParser<CutBytes>({
  name: "server-events",
  open: async () => {
    const Reader = await openReader();
    const read = async (input: CutBytes): Promise<object[]> => {
      const reader = new Reader();
      const all: object[] = [];
      for await (const piece of piecesOf(input)) all.push(...reader.push(piece));
      return all;
    };
    return {
      make: (random) => {
        const whole = Buffer.from(events);
        const bytes = random.chance(goodShare) ? whole : mutateBytes(random, whole);
        return { bytes, cut: random.int(1, 64) * (bytes.length < 2_048 ? 1 : 1_024) };
      },
      take: async (input) => {
        const whole = await read({ ...input, cut: Math.max(1, input.bytes.length) });
        if (input.bytes.length > comparedBytesMax) return;
        if (!isDeepStrictEqual(await read(input), whole)) {
          throw new Error(`cut every ${input.cut} bytes it is read otherwise`);
        }
      },
    };
  },
});
