/** Limits of a careful server: what an input may be is little, so that all that is done with one is little. */
import { resolveConfiguration } from "#src/options/resolve.js";

const { options } = resolveConfiguration({ code: { requestInputsMax: 64 } });

export const fuzzOptions = options;
