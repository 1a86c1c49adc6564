/** Which files of the repository are pages, and where each stands in the list beside them: as docs/README.md lists them. */
import { targetOf } from "./links.js";
import { type Page, plainText, readPage } from "./page.js";

export interface Group {
  readonly title: string;
  /** In order; paths within the repository. */
  readonly pages: readonly { readonly path: string; readonly title: string }[];
}

const index = "docs/README.md";

/** The README and the index itself stand before what the index lists. */
export function siteMap(): readonly Group[] {
  const start = [
    { path: "README.md", title: "Millrace" },
    { path: index, title: "All pages" },
  ];
  return [{ title: "Start", pages: start }, ...groupsOf(readPage(index))];
}

/** A group for each head of the second level: the pages that the list below it links to, by the words of the links. */
export function groupsOf({ path, tokens }: Page): readonly Group[] {
  const groups: { readonly title: string; readonly pages: Group["pages"][number][] }[] = [];
  for (const [at, token] of tokens.entries()) {
    const inner = tokens[at + 1];
    if (token.type === "heading_open" && token.tag === "h2" && inner !== undefined)
      groups.push({ title: plainText(inner), pages: [] });
    for (const [place, child] of (token.children ?? []).entries()) {
      const target = child.type === "link_open" ? targetOf(path, `${child.attrGet("href")}`) : null;
      const title = token.children?.[place + 1]?.content ?? "";
      if (target?.kind === "here") groups.at(-1)?.pages.push({ path: target.path, title });
    }
  }
  return groups;
}
