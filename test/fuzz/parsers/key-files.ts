/** The file of keys: whoever writes it may make a mistake, and a running server reads it again and again. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hashOfKey, type KeyRecord, readKeyFile } from "#src/access/key-file.js";
import { mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

const createdAt = "2026-01-01T00:00:00.000Z";

/** The same in every run: a seed repeats what it made. */
const hashOf = (name: string): string => hashOfKey(name).toString("hex");

const records: readonly KeyRecord[] = [
  { name: "shop", sha256: hashOf("shop"), createdAt },
  {
    name: "nightly",
    sha256: hashOf("nightly"),
    createdAt,
    tenant: "*",
    classes: ["bulk"],
    models: ["en-zh"],
    ratePerSecond: 200,
    burst: 400,
    quotaPerMonth: 5_000_000,
  },
  { name: "ops", sha256: hashOf("ops"), createdAt, admin: true },
];

export const keyFileParser: FuzzParser = defineParser<Buffer>({
  name: "key-file",
  msMax: 250,
  open: (dir) => {
    const path = join(dir, "keys.json");
    return {
      make: (random) => {
        const file = { version: 1, keys: records.filter(() => random.chance(0.7)) };
        const good = Buffer.from(JSON.stringify(file, null, random.chance(0.5) ? 2 : 0));
        if (random.chance(goodShare)) return good;
        return random.chance(0.8)
          ? Buffer.from(mutateJson(random, file))
          : mutateBytes(random, good);
      },
      take: async (bytes) => {
        await writeFile(path, bytes, { mode: 0o600 });
        const names = (await readKeyFile(path)).map(({ name }) => name);
        if (new Set(names).size !== names.length) throw new Error("two keys of one name");
      },
    };
  },
});
