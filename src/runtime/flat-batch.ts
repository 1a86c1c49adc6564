/**
 * Sentences in one flat list of tokens, and where each token stands when they are put side by side:
 *
 *   sentences      a b c │ d e            tokens        a b c d e
 *   side by side   a b c ·                placeTokens   0 1 2 0   in a padded place, the sentence's own first token:
 *                  d e · ·                              3 4 3 3   what stands there depends on no other sentence
 *                                         tokenPlaces   0 1 2 4 5
 */
/** Added to the scores of places where there is no token: no weight is left of them. */
export const maskedScore: number = -1e9;

export interface FlatBatch {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly placeTokens: Int32Array;
  readonly tokenPlaces: Int32Array;
  /** `[sentences, width]`: 0 where a token stands, else maskedScore. */
  readonly mask: Float32Array;
}

/** No sentence may be longer than `width`, or empty. */
export function flatten(sentences: readonly ArrayLike<number>[], width: number): FlatBatch {
  const count = sentences.reduce((sum, sentence) => sum + sentence.length, 0);
  const batch: FlatBatch = {
    tokens: new Int32Array(count),
    positions: new Int32Array(count),
    placeTokens: new Int32Array(sentences.length * width),
    tokenPlaces: new Int32Array(count),
    mask: new Float32Array(sentences.length * width).fill(maskedScore),
  };
  let first = 0;
  for (const [index, sentence] of sentences.entries()) {
    const place = index * width;
    batch.tokens.set(sentence, first);
    batch.placeTokens.fill(first, place, place + width);
    batch.mask.fill(0, place, place + sentence.length);
    for (let position = 0; position < sentence.length; position += 1) {
      batch.positions[first + position] = position;
      batch.placeTokens[place + position] = first + position;
      batch.tokenPlaces[first + position] = place + position;
    }
    first += sentence.length;
  }
  return batch;
}
