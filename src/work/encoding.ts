/**
 * What the program `encoder` takes and gives, as payloads: the tasks on texts write these and read them there.
 *
 *   item      values: pooling, layer (embeddings only)     tensors: tokens int32[n]; types int32[n], of a pair
 *   outcome   embeddings                                   tensors: embedding float32 [width], or [n, width] for `none`
 *             labels                                       tensors: logits float32 [labels]
 */

/** What becomes of the vectors of a text's tokens; `none`: nothing, all of them are wanted. */
export const encoderPoolings = ["mean", "max", "mean-max", "cls", "sep", "none"] as const;

export type EncoderPooling = (typeof encoderPoolings)[number];
