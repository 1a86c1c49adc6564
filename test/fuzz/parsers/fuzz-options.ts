/** Limits of a careful server: what an input may be is little, so that all that is done with one is little. */
import type { FrontOptions } from "#src/front/front.js";

export const fuzzOptions: FrontOptions = {
  requestTimeoutMsDefault: 120_000,
  requestTimeoutMsMax: 600_000,
  requestInputsMax: 64,
  imageBodyBytesMax: 16 * 1024 * 1024,
};
