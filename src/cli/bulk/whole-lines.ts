/** What of a file is lines that have their line feed; a last one without was cut off. */
import { createReadStream } from "node:fs";
import { lineFeed } from "../../work/line-feed.js";
import type { WholeRows } from "./rows.js";

export interface WholeLines extends WholeRows {
  /** Where the last of them begins. */
  readonly lastFrom: number;
}

export async function wholeLines(path: string): Promise<WholeLines> {
  let [rows, bytes, lastFrom, at] = [0, 0, 0, 0];
  for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) {
    for (let feed = chunk.indexOf(lineFeed); feed >= 0; feed = chunk.indexOf(lineFeed, feed + 1)) {
      rows += 1;
      lastFrom = bytes;
      bytes = at + feed + 1;
    }
    at += chunk.length;
  }
  return { rows, bytes, lastFrom };
}
