/**
 * What every input came to, whoever computed it: variants of one precision must give the same outputs, or their figures are of
 * different work. Millrace caches and deduplicates nothing, so an input that is sent forty times is computed forty times.
 */
import { createHash } from "node:crypto";

export class OutputBook {
  readonly #outputs = new Map<string, string>();

  /** @throws where an input came to something else before; `who` is the variant that says so now. */
  add(who: string, inputs: readonly string[], outputs: readonly string[]): void {
    if (inputs.length !== outputs.length)
      throw new Error(`${who} gave ${outputs.length} outputs for ${inputs.length} inputs`);
    for (const [at, input] of inputs.entries()) {
      const output = outputs[at] ?? "";
      const known = this.#outputs.get(input);
      if (known === undefined) this.#outputs.set(input, output);
      else if (known !== output) {
        const [was, is] = [JSON.stringify(known), JSON.stringify(output)];
        throw new Error(
          `outputs differ: ${who} made ${is} of ${JSON.stringify(input)}, before it was ${was}`,
        );
      }
    }
  }

  /** Inputs that are different. */
  get inputs(): number {
    return this.#outputs.size;
  }

  /** Of all inputs with their outputs, in whatever order they came. */
  get hash(): string {
    const pairs = [...this.#outputs].sort(([left], [right]) => (left < right ? -1 : 1));
    return createHash("sha256").update(JSON.stringify(pairs)).digest("hex").slice(0, 12);
  }
}
