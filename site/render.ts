/** A page, or a file that pages link to, as the HTML of its text. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { addressOf, relativeAddress } from "./address.js";
import { escapeHtml, type Framed } from "./layout.js";
import { targetOf } from "./links.js";
import { markdown, type Page } from "./page.js";

export function framedPage(page: Page): Framed {
  const address = addressOf(page.path);
  for (const { href, token, attribute } of page.links) {
    const target = targetOf(page.path, href);
    if (target.kind === "elsewhere") token.attrSet("rel", "noreferrer");
    else {
      const to = addressOf(target.path, statSync(target.path).isDirectory());
      const anchor = target.anchor === null ? "" : `#${target.anchor}`;
      token.attrSet(attribute, `${relativeAddress(address, to)}${anchor}`);
    }
  }
  const text = renderer.render([...page.tokens], markdown.options, {});
  const heads = page.heads.filter(({ level }) => level === 2);
  return { address, title: page.title, text, heads };
}

/** A file as it is, or what is in a folder; `known` are the paths that have a page of their own on the site. */
export function framedSource(path: string, known: ReadonlySet<string>): Framed {
  const isFolder = statSync(path).isDirectory();
  const address = addressOf(path, isFolder);
  const names = isFolder ? readdirSync(path).toSorted() : [];
  const items = names.map((name) => {
    const inner = join(path, name);
    const text = escapeHtml(name);
    if (!known.has(inner)) return `<li><code>${text}</code></li>`;
    const to = relativeAddress(address, addressOf(inner, statSync(inner).isDirectory()));
    return `<li><a href="${to}"><code>${text}</code></a></li>`;
  });
  const body = isFolder
    ? `<ul>${items.join("\n")}</ul>`
    : `<pre tabindex="0"><code>${escapeHtml(readFileSync(path, "utf8"))}</code></pre>`;
  const text = `<h1><code>${escapeHtml(path)}</code></h1>\n${body}`;
  return { address, title: path, text, heads: [] };
}

const wholeCharactersMax = 32;
const { renderer } = markdown;
// What is wider than a telephone scrolls by itself, with the keyboard too.
renderer.rules["table_open"] = () => '<div class="wide" tabindex="0"><table>';
renderer.rules["table_close"] = () => "</table></div>";
renderer.rules["fence"] = (tokens, at) =>
  `<pre tabindex="0"><code>${escapeHtml(tokens[at]?.content ?? "")}</code></pre>\n`;
// A flag is never cut at its dashes; what is longer than a line of a telephone may be.
renderer.rules["code_inline"] = (tokens, at) => {
  const { content } = tokens[at] ?? { content: "" };
  const whole = content.length <= wholeCharactersMax ? ' class="whole"' : "";
  return `<code${whole}>${escapeHtml(content)}</code>`;
};
// Comments are for tests.
renderer.rules["html_block"] = () => "";
