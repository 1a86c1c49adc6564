/** Where a link of a page leads, and those that lead nowhere. */
import { existsSync } from "node:fs";
import { posix } from "node:path";
import type { Page } from "./page.js";

export type Target =
  | { readonly kind: "elsewhere" }
  /** A file or a folder of the repository, and an anchor in it, or none. */
  | { readonly kind: "here"; readonly path: string; readonly anchor: string | null };

export function targetOf(from: string, href: string): Target {
  if (/^[a-z][a-z+.-]*:/i.test(href)) return { kind: "elsewhere" };
  const [file = "", anchor = null] = decodeURI(href).split("#");
  const path = file === "" ? from : posix.join(posix.dirname(from), file);
  return { kind: "here", path: path.replace(/\/$/, ""), anchor };
}

/** One line for each link that leads nowhere; `pages` are all that there are. */
export function brokenLinks(page: Page, pages: ReadonlyMap<string, Page>): string[] {
  return page.links.flatMap(({ href }) => {
    const target = targetOf(page.path, href);
    if (target.kind === "elsewhere") return [];
    const { path, anchor } = target;
    if (path.startsWith("../")) return [`${page.path}: ${href} leads out of the repository`];
    if (!existsSync(path)) return [`${page.path}: ${href}: there is no ${path}`];
    const heads = pages.get(path)?.heads;
    if (anchor === null || heads === undefined) return [];
    if (heads.some((head) => head.anchor === anchor)) return [];
    return [`${page.path}: ${href}: ${path} has no head #${anchor}`];
  });
}
