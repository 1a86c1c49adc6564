/**
 * Items that have not ended: of which request each is, and what its outcome is for. An item is opened with its slice, and
 * closed once, on whatever way out; its model and the counts hear of both.
 */
import type { ErrorCode } from "millrace-client/wire";
import type { ItemSpec } from "../../scheduler/types.js";
import type { Piece } from "../../work/piece.js";
import type { HostedModels } from "./hosted-models.js";
import type { ItemCounts } from "./item-counts.js";
import type { OpenRequest, Place, Slice } from "./open-request.js";

export interface OpenItem {
  readonly request: OpenRequest;
  readonly slice: Slice;
  readonly place: Place;
  /** Its payload is made when it is sent: until then an item is a few numbers in a column (prepare/portion.ts). */
  readonly source: Piece;
  sent: boolean;
}

/** The pieces of a request that are no items yet. */
export type PlacedPieces = Generator<{ readonly source: Piece; readonly place: Place }>;

export class OpenItems {
  readonly #hosted: HostedModels;
  readonly #counts: ItemCounts;
  readonly #items = new Map<number, OpenItem>();
  #lastItemId = 0;
  #lastSliceId = 0;

  constructor(hosted: HostedModels, counts: ItemCounts) {
    this.#hosted = hosted;
    this.#counts = counts;
  }

  /** Makes a slice of the next pieces, `itemsMax` at most; empty where there are no more, and then it is none. */
  open(
    request: OpenRequest,
    pieces: PlacedPieces,
    itemsMax: number,
  ): { readonly sliceId: number; readonly items: readonly ItemSpec[] } {
    this.#lastSliceId += 1;
    const sliceId = this.#lastSliceId;
    const slice: Slice = { sliceId, openItemIds: new Set() };
    const items: ItemSpec[] = [];
    while (items.length < itemsMax) {
      const next = pieces.next();
      if (next.done === true) break;
      const { source, place } = next.value;
      this.#lastItemId += 1;
      const itemId = this.#lastItemId;
      this.#items.set(itemId, { request, slice, place, source, sent: false });
      slice.openItemIds.add(itemId);
      items.push({ itemId, ...source.cost });
    }
    if (items.length > 0) {
      request.slices.add(slice);
      this.#hosted.itemsOpened(request.options.key, items.length);
      this.#counts.accepted(items.length);
    }
    return { sliceId, items };
  }

  find(itemId: number): OpenItem | undefined {
    return this.#items.get(itemId);
  }

  /** The item has ended, with this code or, null, with its result; undefined where it had ended before. */
  close(itemId: number, code: ErrorCode | null): OpenItem | undefined {
    const item = this.#remove(itemId);
    if (item !== undefined) this.#counts.ended(item.request.options.class, code, 1);
    return item;
  }

  /** These items of one request have ended; what had ended before is not counted again. */
  closeAll(itemIds: readonly number[], code: ErrorCode): OpenRequest | undefined {
    let request: OpenRequest | undefined;
    let items = 0;
    for (const itemId of itemIds) {
      const item = this.#remove(itemId);
      if (item === undefined) continue;
      request = item.request;
      items += 1;
    }
    if (request !== undefined) this.#counts.ended(request.options.class, code, items);
    return request;
  }

  #remove(itemId: number): OpenItem | undefined {
    const item = this.#items.get(itemId);
    if (item === undefined) return undefined;
    this.#items.delete(itemId);
    this.#hosted.itemClosed(item.request.options.key);
    item.slice.openItemIds.delete(itemId);
    if (item.slice.openItemIds.size === 0) item.request.slices.delete(item.slice);
    return item;
  }
}

export function* placedPieces({ options }: OpenRequest): PlacedPieces {
  for (const [input, prepared] of options.inputs.entries()) {
    if (!prepared.ok) continue;
    for (const [piece, source] of prepared.pieces.entries()) {
      yield { source, place: { input, piece } };
    }
  }
}
