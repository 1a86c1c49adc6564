/** Which files of the repository are pages, and where each stands in the list beside them. */
import { readdirSync } from "node:fs";

export interface Group {
  readonly title: string;
  readonly pages: readonly string[];
}

const placed: readonly Group[] = [
  {
    title: "Guides",
    pages: [
      "README.md",
      "docs/guides/first-model.md",
      "docs/guides/clients.md",
      "docs/guides/production.md",
      "docs/guides/sizing.md",
      "docs/guides/upgrading.md",
    ],
  },
  { title: "Clients", pages: ["docs/clients/README.md", "client/README.md"] },
  {
    title: "Use",
    pages: [
      "docs/command.md",
      "docs/open.md",
      "docs/convert.md",
      "docs/pull.md",
      "docs/models.md",
      "docs/encoders.md",
      "docs/pictures.md",
      "docs/inference-v2.md",
      "docs/jobs.md",
      "examples/README.md",
      "models/en-zh/README.md",
    ],
  },
  {
    title: "Operate",
    pages: [
      "docs/deploy.md",
      "docs/security.md",
      "docs/page.md",
      "docs/doctor.md",
      "docs/profile.md",
      "docs/tracing.md",
    ],
  },
  {
    title: "Reference",
    pages: [
      "docs/http.md",
      "docs/streams.md",
      "docs/options.md",
      "docs/errors.md",
      "docs/metrics.md",
      "docs/limits.md",
      "docs/fronts.md",
      "docs/glossary.md",
    ],
  },
  { title: "Figures", pages: ["docs/benchmarks.md", "docs/figures.md"] },
  { title: "Inside", pages: ["ARCHITECTURE.md", "docs/dependencies.md", "training/README.md"] },
  { title: "Project", pages: ["CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"] },
];

/** A page that nobody places stands behind the others of its folder. */
export function siteMap(): readonly Group[] {
  const known = new Set(placed.flatMap(({ pages }) => pages));
  const folders: Readonly<Record<string, string>> = {
    "docs/guides": "Guides",
    "docs/clients": "Clients",
    docs: "Use",
    "docs/inside": "Inside",
  };
  return placed.map(({ title, pages }) => {
    const others = Object.keys(folders)
      .filter((folder) => folders[folder] === title)
      .flatMap(markdownIn)
      .filter((path) => !known.has(path));
    return { title, pages: [...pages, ...others] };
  });
}

function markdownIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".md"))
    .toSorted()
    .map((name) => `${folder}/${name}`);
}
