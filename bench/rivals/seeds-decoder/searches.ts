/** What both comparisons with the seeds' way of decoding have in common: who is asked, for which search, and what is told of it. */
export const names = ["seeds", "int8", "f32"] as const;
export type Name = (typeof names)[number];

/** Of the outputs of each precision. */
export type Hashes = Readonly<Record<"f32" | "int8", string>>;
