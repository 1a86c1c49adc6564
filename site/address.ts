/** Addresses within the site: every one is relative, so that it may lie under any path. */
import { posix } from "node:path";

/** Of a file of the repository: `docs/http.html`, `docs/clients/index.html`, `src/server.ts.html`; a folder's is its index. */
export function addressOf(path: string, isFolder = false): string {
  if (isFolder) return posix.join(path, "index.html");
  if (/\.(png|svg)$/.test(path)) return path;
  if (!path.endsWith(".md")) return `${path}.html`;
  return path.replace(/(^|\/)README\.md$/, "$1index.md").replace(/\.md$/, ".html");
}

export function relativeAddress(from: string, to: string): string {
  return posix.relative(posix.dirname(from), to);
}
