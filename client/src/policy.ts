import { MillraceError } from "./wire/index.js";

/**
 * `given` over `defaults`. An `undefined` is as good as nothing, and NaN is refused: every comparison with it is false,
 * so that a limit of NaN would be no limit at all.
 */
export function policyOf<Policy extends object>(
  name: string,
  defaults: Policy,
  given: { readonly [Key in keyof Policy]?: Policy[Key] | undefined } = {},
): Policy {
  const named = Object.entries<unknown>(given).filter(([, value]) => value !== undefined);
  for (const [key, value] of named) {
    if (typeof value === "number" && !Number.isNaN(value)) continue;
    throw new MillraceError("option_invalid", `${name}.${key} must be a number.`);
  }
  return { ...defaults, ...Object.fromEntries(named) };
}
