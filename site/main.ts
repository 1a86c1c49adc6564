/**
 * READ FIRST. The docs as a site of files: `npm run site` writes it to `build/docs`, and any host of files can serve it, under
 * any path. What pages link to in the repository comes along; a link that leads nowhere is an error, and nothing is written.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { addressOf } from "./address.js";
import { frame } from "./layout.js";
import { brokenLinks, targetOf } from "./links.js";
import { siteMap } from "./map.js";
import { type Page, readPage } from "./page.js";
import { framedPage, framedSource } from "./render.js";
import { sectionsOf } from "./sections.js";

const searchFile = "search.json";

/** From the repository's root. @returns How many pages were written. */
export async function writeSite(out: string): Promise<number> {
  const groups = siteMap();
  const paths = groups.flatMap(({ pages }) => pages.map(({ path }) => path));
  const pages = new Map(paths.map((path) => [path, readPage(path)]));
  const broken = [...pages.values()].flatMap((page) => brokenLinks(page, pages));
  if (broken.length > 0) throw new Error(broken.join("\n"));
  const linked = linkedFiles(pages);
  const pictures = linked.filter((path) => /\.(png|svg)$/.test(path));
  const sources = linked.filter((path) => !pictures.includes(path));
  const known = new Set([...pages.keys(), ...linked]);
  clear(out);
  // First of all: by it a site is known again, also one that was not finished.
  write(join(out, searchFile), JSON.stringify(sectionsOf(pages.values())));
  const framed = [...pages.values()].map(framedPage);
  for (const page of [...framed, ...sources.map((path) => framedSource(path, known))])
    write(join(out, page.address), frame(page, groups));
  for (const path of pictures) cpSync(path, join(out, addressOf(path)));
  await writeAssets(out);
  return framed.length;
}

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
    entryPoints: [
      { in: "site/browser/main.ts", out: "site" },
      { in: "site/site.css", out: "site" },
    ],
    outdir: out,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2023", "chrome123", "firefox120", "safari17.5"],
    legalComments: "none",
    logLevel: "warning",
  });
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
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

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const out = process.argv[2] ?? "build/docs";
  const count = await writeSite(out);
  process.stdout.write(`${count} pages in ${out}\n`);
}
