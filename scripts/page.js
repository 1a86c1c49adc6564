// Bundles the page of the server from `page/` into `dist/page/`, each asset with a hash of what is in it in its name.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { build } from "esbuild";

const to = "dist/page";
const { metafile } = await build({
  entryPoints: ["page/main.tsx", "page/page.css", "page/icon.svg"],
  outdir: to,
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  metafile: true,
  format: "esm",
  target: ["es2023", "chrome123", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".svg": "copy" },
  legalComments: "none",
  logLevel: "warning",
});
const names = Object.entries(metafile.outputs).map(([path, { entryPoint }]) => [
  basename(entryPoint ?? path),
  basename(path),
]);
const html = readFileSync("page/index.html", "utf8").replace(/%(.+?)%/g, (_, source) => {
  const found = names.find(([from, name]) => from === source || name.startsWith(`${source}-`));
  if (found === undefined) throw new Error(`page/index.html names ${source}, which was not built`);
  return `page/${found[1]}`;
});
mkdirSync(to, { recursive: true });
writeFileSync(`${to}/index.html`, html);
