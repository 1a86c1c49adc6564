/** The first look at a picture's bytes. */
import { readHead } from "#src/prepare/image/head.js";
import { everyFormat } from "../../support/pictures.js";
import { mutateBytes } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

export const pictureParser: FuzzParser = defineParser<Buffer>({
  name: "picture-head",
  open: async () => {
    const good = [...(await everyFormat(24, 17)).values()];
    return {
      make: (random) =>
        random.chance(goodShare) ? random.pick(good) : mutateBytes(random, random.pick(good), good),
      take: (bytes) => void readHead(bytes, { imagePixelsMax: 40_000_000 }),
    };
  },
});
