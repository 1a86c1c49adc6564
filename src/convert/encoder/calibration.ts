/** Runs a watched encoder over texts, one at a time. */
import { join } from "node:path";
import type { HuggingFaceTokenizer } from "../../prepare/text/huggingface-tokenizers.js";
import { flatten } from "../../runtime/flat-batch.js";
import { type Feeds, f32, i32, i64, Session } from "../../runtime/session.js";
import type { CalibrationRuns, WatchedFolder } from "../family.js";

export interface WatchedEncoder {
  readonly fileName: string;
  readonly tokenizer: Pick<HuggingFaceTokenizer, "encode">;
  readonly tokensMax: number;
  /** Whether the graph is told of types, and of pooling and layer. */
  readonly types: boolean;
  readonly layers: number | null;
  /** Lines are taken two by two, as a model that compares texts gets them. */
  readonly pairs: boolean;
}

interface Text {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

export function encoderCalibration(
  encoder: WatchedEncoder,
  lines: readonly string[],
): CalibrationRuns {
  const texts = (encoder.pairs ? pairsOf(lines) : lines.map((line) => [line] as const))
    .map(([text, other]): Text => {
      const encoded = encodeText(encoder.tokenizer, text, other);
      return { ids: encoded.ids, types: encoded.token_type_ids ?? [] };
    })
    .filter(({ ids }) => ids.length > 0 && ids.length <= encoder.tokensMax);
  return { count: texts.length, run: (folder) => runTexts(encoder, texts, folder) };
}

function encodeText(
  tokenizer: WatchedEncoder["tokenizer"],
  text: string,
  other: string | undefined,
): ReturnType<HuggingFaceTokenizer["encode"]> {
  if (other === undefined) return tokenizer.encode(text);
  return tokenizer.encode(text, { text_pair: other, return_token_type_ids: true });
}

/** Each line with the one behind it; the last with the first. */
function pairsOf(lines: readonly string[]): (readonly [string, string])[] {
  return lines.map((line, index) => [line, lines[(index + 1) % lines.length] ?? line]);
}

async function runTexts(
  encoder: WatchedEncoder,
  texts: readonly Text[],
  { dir, onWatched, onProgress }: WatchedFolder,
): Promise<string | null> {
  const options = { threads: 1, spin: false, prepack: false };
  const session = await Session.open(join(dir, encoder.fileName), options);
  try {
    for (const [index, text] of texts.entries()) {
      onWatched(await session.run(feedsOf(encoder, text)));
      onProgress((index + 1) / texts.length);
    }
    return null;
  } catch (error) {
    // Of onProgress it is the interrupt's reason.
    if (!(error instanceof Error) || !/onnx/i.test(error.message)) throw error;
    return error.message;
  } finally {
    session.release();
  }
}

function feedsOf({ types, layers }: WatchedEncoder, text: Text): Feeds {
  const length = text.ids.length;
  const width = Math.ceil(length / 16) * 16;
  const batch = flatten([text.ids], width);
  const pool = new Float32Array(width).fill(1 / length, 0, length);
  const kinds = Int32Array.from({ length }, (_, index) => text.types[index] ?? 0);
  return {
    ids: i32(batch.tokens, [length]),
    positions: i32(batch.positions, [length]),
    mask: f32(batch.mask, [1, 1, 1, width]),
    place_tokens: i32(batch.placeTokens, [width]),
    token_places: i32(batch.tokenPlaces, [length]),
    sentence_shape: i64([1, width]),
    ...(types ? { types: i32(kinds, [length]) } : {}),
    ...(layers === null ? {} : { pool: f32(pool, [1, 1, width]), layer: i64([layers]) }),
  };
}
