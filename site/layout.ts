/** The frame of every page: the list of pages, the search, the text, and the heads of it. */
import { addressOf, relativeAddress } from "./address.js";
import type { Group } from "./map.js";

export interface Framed {
  /** Of this page, within the site. */
  readonly address: string;
  readonly title: string;
  /** HTML. */
  readonly text: string;
  readonly heads: readonly { readonly text: string; readonly anchor: string }[];
}

export function frame({ address, title, text, heads }: Framed, groups: readonly Group[]): string {
  const to = (path: string): string => relativeAddress(address, path);
  const full = title === "Millrace" ? title : `${title} · Millrace`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(full)}</title>
<link rel="icon" type="image/svg+xml" href="${to("icon.svg")}">
<link rel="stylesheet" href="${to("site.css")}">
<script type="module" src="${to("site.js")}" data-root="${to("index.html").replace(/index\.html$/, "")}"></script>
</head>
<body>
<a class="skip" href="#text">Skip to the text</a>
<header>
<a class="brand" href="${to("index.html")}"><img src="${to("icon.svg")}" alt="" width="24" height="24">Millrace</a>
<form role="search" hidden><label for="search">Search</label><input id="search" type="search" autocomplete="off" spellcheck="false"><ol id="found" aria-live="polite" hidden></ol></form>
</header>
<div class="columns">
<nav aria-label="Pages"><details open><summary>Pages</summary>
${groups.map((group) => listOf(group, address)).join("\n")}
</details></nav>
<main id="text" tabindex="-1">
${text}
</main>
${contents(heads)}
</div>
</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

function listOf({ title, pages }: Group, address: string): string {
  const items = pages.map((page) => {
    const own = addressOf(page.path);
    const current = own === address ? ' aria-current="page"' : "";
    return `<li><a href="${relativeAddress(address, own)}"${current}>${escapeHtml(page.title)}</a></li>`;
  });
  return `<h2>${escapeHtml(title)}</h2>\n<ul>${items.join("")}</ul>`;
}

function contents(heads: Framed["heads"]): string {
  if (heads.length < 2) return "";
  const items = heads.map(
    ({ text, anchor }) => `<li><a href="#${escapeHtml(anchor)}">${escapeHtml(text)}</a></li>`,
  );
  return `<aside aria-label="On this page"><h2>On this page</h2><ul>${items.join("")}</ul></aside>`;
}
