/** What a small file beside an output says. */
import type { z } from "zod";

/** Null: it is no JSON, or says anything else than the shape has. */
export function parsedAs<Value>(shape: z.ZodType<Value>, text: string): Value | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const read = shape.safeParse(value);
  return read.success ? read.data : null;
}
