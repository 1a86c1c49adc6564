/** Shapes of the made translation models. */
export interface MarianShape {
  readonly name: string;
  /** Of one vocabulary for inputs and outputs, in three tables: the encoder's, the decoder's, the output's. */
  readonly vocabulary: number;
  readonly width: number;
  /** Of the encoder, and as many of the decoder. */
  readonly layers: number;
  readonly heads: number;
  readonly feedForward: number;
  readonly positions: number;
  /** Tokens of every output, whatever it says. */
  readonly outputTokens: number;
  readonly beams: number;
}

export const marianShapes: Readonly<Record<string, MarianShape>> = {
  /** Transformer base, as the seeds served it: 93.3 million parameters, because its three tables are not tied. */
  base: {
    name: "base",
    vocabulary: 32_000,
    width: 512,
    layers: 6,
    heads: 8,
    feedForward: 2048,
    positions: 128,
    outputTokens: 60,
    beams: 3,
  },
  /** Nobody's, for the tests. */
  tiny: {
    name: "tiny",
    vocabulary: 7_000,
    width: 32,
    layers: 2,
    heads: 2,
    feedForward: 64,
    positions: 128,
    outputTokens: 6,
    beams: 3,
  },
};
