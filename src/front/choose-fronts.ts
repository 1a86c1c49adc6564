/** Which protocols are spoken, and who gets a path that two of them want: `--fronts`. */
import { MillraceError } from "millrace-client/wire";
import { didYouMean } from "../near-miss.js";

/**
 * By name, in the order in which they stand in the option. Millrace's own is always among them, for its health and its
 * metrics: where it is not named it is the last.
 *
 * @throws MillraceError `option_invalid`
 */
export function chooseFronts<Open>(
  option: string,
  all: Readonly<Record<string, Open>> & { readonly native: Open },
): readonly [Open, ...Open[]] {
  const { native, ...others } = all;
  if (option === "all") return [native, ...Object.values(others)];
  const names = option.split(",").map((name) => name.trim());
  for (const [at, name] of names.entries()) {
    if (!Object.hasOwn(all, name)) {
      const known = Object.keys(all);
      const message = `--fronts: there is no protocol ${JSON.stringify(name)}${didYouMean(name, known)}; there are: all, ${known.join(", ")}`;
      throw new MillraceError("option_invalid", message);
    }
    if (names.indexOf(name) !== at) {
      throw new MillraceError("option_invalid", `--fronts names ${name} twice`);
    }
  }
  const chosen = (names.includes("native") ? names : [...names, "native"]).flatMap(
    (name) => all[name] ?? [],
  );
  const [first = native, ...rest] = chosen;
  return [first, ...rest];
}
