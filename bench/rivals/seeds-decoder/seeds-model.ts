/**
 * How the seeds translate, as well as it can be done: batches in order of arrival, the whole prefix recomputed at every step, beams as rows,
 * and a batch waits for its slowest. The encoder runs once, and the searches are Millrace's own, so that the outputs are the same.
 */
import type { InferenceSession } from "onnxruntime-node";
import { cacheHeadSize } from "#src/models/cache-head-size.js";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { flatten, maskedScore } from "#src/runtime/flat-batch.js";
import { BeamSearch } from "#src/runtime/generation/search/beam.js";
import { GreedySearch } from "#src/runtime/generation/search/greedy.js";
import { candidatesNeeded, type Search } from "#src/runtime/generation/search/search.js";
import { f32, floatsOf, i32, i64, intsOf } from "./tensors.js";

type Ids = readonly number[];

export interface SeedsSessions {
  /** Millrace's own encoder, in float32. */
  readonly encoder: InferenceSession;
  readonly decoder: InferenceSession;
}

export class SeedsModel {
  readonly #manifest: GenerationManifest;
  readonly #sessions: SeedsSessions;

  constructor(manifest: GenerationManifest, sessions: SeedsSessions) {
    this.#manifest = manifest;
    this.#sessions = sessions;
  }

  /** The best hypothesis of each, end token included. */
  async translate(batch: readonly Ids[], beams: number): Promise<Ids[]> {
    const { generation } = this.#manifest;
    const rows = await this.#encode(batch, beams);
    const searches = batch.map(() => this.#search(beams));
    const running = new Set(searches.keys());
    const prefixes = Array.from({ length: batch.length * beams }, () => [generation.startTokenId]);
    const count = candidatesNeeded(beams, generation);
    const own = Int32Array.from({ length: beams }, (_, beam) => beam);
    while (running.size > 0) {
      const forced = [...running].filter((at) => searches[at]?.forced === true);
      for (const at of forced) {
        searches[at]?.force();
        running.delete(at);
      }
      if (running.size === 0) break;
      const step = await this.#step(prefixes, rows, count);
      for (const [at, search] of searches.entries()) {
        const rowOffset = at * beams;
        const ended =
          running.has(at) && search.advance({ ...step, count, rowOffset }, own) ? at : -1;
        running.delete(ended);
        follow(prefixes, search, rowOffset);
      }
    }
    return searches.map((search) => search.results()[0]?.tokenIds ?? []);
  }

  #search(beams: number): Search {
    const { generation } = this.#manifest;
    const { lengthPenalty, maxLength, startTokenId } = generation;
    const settings = { beams, nBest: 1, lengthPenalty, maxLength };
    const start = { settings, rules: generation, startTokenId };
    return beams === 1 ? new GreedySearch(start) : new BeamSearch(start);
  }

  /** What stays the same at every step: a copy of each sentence's keys and values for each of its beams. */
  async #encode(batch: readonly Ids[], beams: number): Promise<Feeds> {
    const width = Math.max(...batch.map((sentence) => sentence.length));
    const flat = flatten(batch, width);
    const fetches = await this.#sessions.encoder.run({
      input_ids: i32(flat.tokens, [flat.tokens.length]),
      positions: i32(flat.positions, [flat.tokens.length]),
      mask: f32(flat.mask, [batch.length, 1, 1, width]),
      place_tokens: i32(flat.placeTokens, [batch.length * width]),
      token_places: i32(flat.tokenPlaces, [flat.tokens.length]),
      sentence_shape: i64([batch.length, width]),
    });
    const { decoderLayers, decoderHeads: heads, width: hidden } = this.#manifest.shape;
    const rows = batch.length * beams;
    const size = hidden / heads;
    const shape = [rows, heads, width, size];
    const crossMask = repeated(flat.mask, width, beams);
    const feeds: Record<string, Feeds[string]> = {
      cross_mask: f32(crossMask, [rows, 1, 1, width]),
    };
    for (let layer = 0; layer < decoderLayers; layer += 1) {
      for (const name of [`cross_k.${layer}`, `cross_v.${layer}`]) {
        const unpadded = cutHeads(floatsOf(fetches, name), cacheHeadSize(size), size);
        feeds[name] = f32(repeated(unpadded, width * hidden, beams), shape);
      }
    }
    return feeds;
  }

  async #step(prefixes: readonly Ids[], rows: Feeds, count: number) {
    const length = prefixes[0]?.length ?? 0;
    const tokens = Int32Array.from(prefixes.flat());
    const causal = new Float32Array(length * length);
    for (let from = 0; from < length; from += 1) {
      causal.fill(maskedScore, from * length + from + 1, (from + 1) * length);
    }
    const fetches = await this.#sessions.decoder.run({
      ...rows,
      tokens: i32(tokens, [prefixes.length, length]),
      positions: i32(
        Int32Array.from({ length }, (_, place) => place),
        [length],
      ),
      causal_mask: f32(causal, [1, 1, length, length]),
      top_k: i64([count]),
    });
    return {
      ids: intsOf(fetches, "top_ids"),
      scores: floatsOf(fetches, "top_scores"),
      badScores: new Float32Array(),
      badCount: 0,
    };
  }
}

type Feeds = Readonly<Record<string, ReturnType<typeof f32>>>;

/** Each hypothesis goes on from its parent; a sentence that has ended goes on as well, for its batch does. */
function follow(prefixes: number[][], search: Search, rowOffset: number): void {
  const before = prefixes.slice(rowOffset, rowOffset + search.width);
  for (let beam = 0; beam < search.width; beam += 1) {
    const parent = before[search.parents[beam] ?? 0] ?? [];
    prefixes[rowOffset + beam] = [...parent, search.tokens[beam] ?? 0];
  }
}

/** Without what the encoder adds to each head, so that keys and values fit the kernels of Millrace's decoder. */
function cutHeads(values: Float32Array, padded: number, size: number): Float32Array {
  if (padded === size) return values;
  const heads = values.length / padded;
  const cut = new Float32Array(heads * size);
  for (let head = 0; head < heads; head += 1) {
    cut.set(values.subarray(head * padded, head * padded + size), head * size);
  }
  return cut;
}

function repeated(values: Float32Array, length: number, times: number): Float32Array {
  const all = new Float32Array(values.length * times);
  for (let at = 0; at < all.length; at += length) {
    const from = Math.floor(at / length / times) * length;
    all.set(values.subarray(from, from + length), at);
  }
  return all;
}
