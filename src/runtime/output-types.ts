import { type SessionValue, typeName } from "./native/session-values.js";

export type OutputType = "float32" | "int32";

/** Throws where a graph does not give each of these outputs, of its type: found at load, not by the first caller. */
export function checkOutputTypes(
  graph: string,
  { outputs }: { readonly outputs: readonly SessionValue[] },
  wanted: Readonly<Record<string, OutputType>>,
): void {
  for (const [name, type] of Object.entries(wanted)) {
    const output = outputs.find((each) => each.name === name);
    const found = output === undefined ? "no output" : typeName(output);
    if (found !== type) {
      throw new Error(`the ${graph} graph gives ${found} as ${name}, not ${type}`);
    }
  }
}
