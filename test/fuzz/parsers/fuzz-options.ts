/** Limits of a careful server: what an input may be is little, so that all that is done with one is little. */
import type { FrontOptions } from "#src/front/front.js";
import { resolveConfiguration } from "#src/options/resolve.js";

export const fuzzOptions: FrontOptions = resolveConfiguration({
  code: {
    requestTimeoutMsDefault: 120_000,
    requestTimeoutMsMax: 600_000,
    requestInputsMax: 64,
    imageBodyBytesMax: 16 * 1024 * 1024,
  },
}).options;
