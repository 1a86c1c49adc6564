/** A Markdown file as it is read: its heads with the anchors that they get, its links, its programs. Tests read pages by it too. */
import { readFileSync } from "node:fs";
import MarkdownIt, { type MarkdownIt as Markdown, type Token } from "markdown-it";

export interface Page {
  /** In the repository, with slashes: `docs/http.md`. */
  readonly path: string;
  /** Its first head. */
  readonly title: string;
  readonly heads: readonly Head[];
  readonly links: readonly Link[];
  readonly fences: readonly Fence[];
  /** What it is drawn from; heads have their `id`. */
  readonly tokens: readonly Token[];
}

export interface Head {
  readonly level: number;
  readonly text: string;
  /** As GitHub makes it, so that a link holds there and here. */
  readonly anchor: string;
}

/** Of a link or a picture. */
export interface Link {
  readonly href: string;
  readonly token: Token;
  readonly attribute: "href" | "src";
}

export interface Fence {
  /** `sh`, `ts`; empty where none is named. */
  readonly language: string;
  readonly text: string;
  /** What a comment of one line right before it says: `<!-- typed -->` says `typed`. */
  readonly mark: string | null;
  /** From 1. */
  readonly line: number;
}

export const markdown: Markdown = new MarkdownIt({ html: true });

export function readPage(path: string): Page {
  return parsePage(path, readFileSync(path, "utf8"));
}

export function parsePage(path: string, text: string): Page {
  const tokens = markdown.parse(text, {});
  const heads = headsOf(tokens);
  return {
    path,
    title: heads.find(({ level }) => level === 1)?.text ?? path,
    heads,
    links: tokens.flatMap(linksOf),
    fences: fencesOf(tokens),
    tokens,
  };
}

/** What is read of it, without its marks. */
export function plainText(token: Token): string {
  if (token.children === null) return token.content;
  return token.children
    .map((child) => (child.type === "softbreak" ? " " : plainText(child)))
    .join("");
}

function headsOf(tokens: readonly Token[]): Head[] {
  const taken = new Map<string, number>();
  return tokens.flatMap((token, at) => {
    const inner = tokens[at + 1];
    if (token.type !== "heading_open" || inner === undefined) return [];
    const text = plainText(inner);
    const slug = slugOf(text);
    const times = taken.get(slug) ?? 0;
    taken.set(slug, times + 1);
    const anchor = times === 0 ? slug : `${slug}-${times}`;
    token.attrSet("id", anchor);
    return [{ level: Number(token.tag.slice(1)), text, anchor }];
  });
}

function slugOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "")
    .replaceAll(" ", "-");
}

function linksOf(token: Token): Link[] {
  return (token.children ?? []).flatMap((child): Link[] => {
    const attribute = child.type === "image" ? "src" : "href";
    const href = child.attrGet(attribute);
    if (href === null || !["image", "link_open"].includes(child.type)) return [];
    return [{ href: String(href), token: child, attribute }];
  });
}

function fencesOf(tokens: readonly Token[]): Fence[] {
  return tokens.flatMap((token, at) => {
    if (token.type !== "fence") return [];
    const before = tokens[at - 1];
    const comment = before?.type === "html_block" ? before.content : "";
    const mark = /^<!-- (.+) -->\s*$/.exec(comment)?.[1] ?? null;
    const line = (token.map?.[0] ?? 0) + 1;
    return [{ language: token.info.trim(), text: token.content, mark, line }];
  });
}
