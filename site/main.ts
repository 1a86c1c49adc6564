/**
 * READ FIRST. The docs as a site of files: `npm run site` writes it to `build/docs`, and any host of files can serve it, under
 * any path. What pages link to in the repository comes along; a link that leads nowhere is an error, and nothing is written.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { addressOf, relativeAddress } from "./address.js";
import { escapeHtml, type Framed, frame, type Listed } from "./layout.js";
import { brokenLinks, targetOf } from "./links.js";
import { siteMap } from "./map.js";
import { markdown, type Page, readPage } from "./page.js";
import { sectionsOf } from "./sections.js";

/** From the repository's root. @returns How many pages were written. */
export async function writeSite(out: string): Promise<number> {
  const groups = siteMap();
  const paths = groups.flatMap(({ pages }) => pages);
  const pages = new Map(paths.map((path) => [path, readPage(path)]));
  const broken = [...pages.values()].flatMap((page) => brokenLinks(page, pages));
  if (broken.length > 0) throw new Error(broken.join("\n"));
  const listed: Listed[] = groups.map(({ title, pages: own }) => ({
    title,
    pages: own.map((path) => ({ path, title: pages.get(path)?.title ?? path })),
  }));
  clear(out);
  // First of all: by it a site is known again, also one that was not finished.
  write(join(out, searchFile), JSON.stringify(sectionsOf(pages.values())));
  const framed = [...pages.values()].map(framedPage);
  const sources = linkedFiles(pages).filter((path) => !/\.(png|svg)$/.test(path));
  for (const page of [...framed, ...sources.map((path) => framedSource(path, pages))]) {
    write(join(out, page.address), frame(page, listed));
  }
  for (const path of linkedFiles(pages).filter((each) => !sources.includes(each))) {
    cpSync(path, join(out, addressOf(path)));
  }
  await writeAssets(out);
  return framed.length;
}

const searchFile = "search.json";

/** Of a site of before. Who named another folder by mistake, `docs` or the repository, keeps it. */
function clear(out: string): void {
  const names = existsSync(out) ? readdirSync(out) : [];
  if (names.length > 0 && !names.includes(searchFile))
    throw new Error(`${out} is no site, and not empty: name another folder, or remove it yourself`);
  rmSync(out, { recursive: true, force: true });
}

async function writeAssets(out: string): Promise<void> {
  cpSync("page/icon.svg", join(out, "icon.svg"));
  await build({
    entryPoints: { site: "site/browser/main.ts" },
    outdir: out,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2023", "chrome123", "firefox120", "safari17.5"],
    legalComments: "none",
    logLevel: "warning",
  });
  cpSync("site/site.css", join(out, "site.css"));
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function framedPage(page: Page): Framed {
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

/** Files and folders that pages link to and that are no pages, each once. */
function linkedFiles(pages: ReadonlyMap<string, Page>): string[] {
  const found = new Set<string>();
  for (const page of pages.values()) {
    for (const { href } of page.links) {
      const target = targetOf(page.path, href);
      if (target.kind === "elsewhere" || pages.has(target.path)) continue;
      if (!pages.has(`${target.path}/README.md`)) found.add(target.path);
    }
  }
  return [...found].toSorted();
}

/** A file as it is, or what is in a folder. */
function framedSource(path: string, pages: ReadonlyMap<string, Page>): Framed {
  const isFolder = statSync(path).isDirectory();
  const address = addressOf(path, isFolder);
  const names = isFolder ? readdirSync(path).toSorted() : [];
  const known = new Set([...pages.keys(), ...linkedFiles(pages)]);
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

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const out = process.argv[2] ?? "build/docs";
  const count = await writeSite(out);
  process.stdout.write(`${count} pages in ${out}\n`);
}
