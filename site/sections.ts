/** Pages, cut at their heads, for the search. */
import { addressOf } from "./address.js";
import { type Page, plainText } from "./page.js";

/** What the browser loads when somebody begins to search; short names, for there are hundreds. */
export interface Section {
  /** Its place in the list. */
  readonly id: number;
  readonly page: string;
  readonly head: string;
  /** Within the site. */
  readonly url: string;
  readonly text: string;
}

export function sectionsOf(pages: Iterable<Page>): Section[] {
  const sections: Omit<Section, "id">[] = [];
  for (const page of pages) {
    const parts: { head: string; anchor: string | null; texts: string[] }[] = [
      { head: page.title, anchor: null, texts: [] },
    ];
    for (const [at, token] of page.tokens.entries()) {
      const before = page.tokens[at - 1];
      if (token.type !== "inline" && token.type !== "fence") continue;
      const text = plainText(token);
      if (before?.type !== "heading_open") parts.at(-1)?.texts.push(text);
      else if (before.tag !== "h1") {
        parts.push({ head: text, anchor: String(before.attrGet("id")), texts: [] });
      }
    }
    for (const { head, anchor, texts } of parts) {
      const url = `${addressOf(page.path)}${anchor === null ? "" : `#${anchor}`}`;
      const text = texts.join(" ").replace(/\s+/g, " ").trim();
      sections.push({ page: page.title, head, url, text });
    }
  }
  return sections.map((section, id) => ({ id, ...section }));
}
