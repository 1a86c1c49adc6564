/** Throws where a graph does not give each of these outputs, of its type: found at load, not by the first caller. */
export function checkOutputTypes(
  graph: string,
  wanted: Readonly<Record<string, string>>,
  /** What the graph gives by this name; undefined: no output is called so. */
  typeOf: (name: string) => string | undefined,
): void {
  for (const [name, type] of Object.entries(wanted)) {
    const found = typeOf(name) ?? "no output";
    if (found !== type) {
      throw new Error(`the ${graph} graph gives ${found} as ${name}, not ${type}`);
    }
  }
}
