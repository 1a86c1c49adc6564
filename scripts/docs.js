// Writes docs/options.md, docs/errors.md, docs/metrics.md and the table of docs/doctor.md from their tables, docs/fronts.md from the drivers that hold the
// fronts to their list, and docs/clients/inference.proto from the definition that is served. `--check` writes nothing and fails where a file differs. Run it after a build.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { frontsPage } from "../build/test/conformance/fronts/page.js";
import { errorRegistry } from "../client/dist/wire/errors.js";
import { defaultText } from "../dist/cli/option-flags.js";
import { findingTable } from "../dist/doctor/finding-table.js";
import { inferenceProto } from "../dist/front/inference-v2/inference-proto.js";
import { metricTable } from "../dist/metrics/table.js";
import { configVersion, configVersionKey } from "../dist/options/config-file.js";
import { optionGroups } from "../dist/options/definition.js";
import { durationText } from "../dist/options/duration.js";
import {
  flagOf,
  formerKeys,
  optionKeys,
  optionSections,
  optionTable,
  variableOf,
} from "../dist/options/table.js";

const note = "<!-- Written by scripts/docs.js from the table in the code; change it there. -->";

function table(head, rows) {
  const cells = (row) =>
    `| ${row.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
  return [cells(head), cells(head.map(() => "---")), ...rows.map(cells)].join("\n");
}

function bounds(definition) {
  if (definition.type === "integer")
    return `${definition.min} to ${definition.max} ${definition.unit}`;
  if (definition.type === "duration")
    return `${durationText(definition.minMs)} to ${durationText(definition.maxMs)}`;
  if (definition.type === "choice")
    return definition.choices.map((each) => `\`${each}\``).join(", ");
  if (definition.type === "ratio") return "0 to 1";
  return definition.type;
}

function optionsPage() {
  const sections = optionSections.map((each) => `\`${each}\``).join(", ");
  const parts = [
    "# Options",
    note,
    `A flag wins over a variable, a variable over the file that \`--config FILE\` (or \`MILLRACE_CONFIG\`) names, the file\nover the default. The file is one JSON object of the keys below, comments allowed, as \`millrace init\` writes it; those that begin with\n${sections} may stand in a section of that name: \`{"grpc": {"port": 8401}}\` is \`grpcPort\`. Everything is read once, validated whole and frozen;\n\`millrace config\` prints every value and where it came from. An unknown key, flag or \`MILLRACE_\` variable is\n\`option_invalid\`; only \`MILLRACE_URL\` and the service links of Kubernetes (\`MILLRACE_SERVICE_…\`, \`MILLRACE_PORT_…\`)\nare let by. Kubernetes also sets \`MILLRACE_PORT\` beside a service named \`millrace\`: switch \`enableServiceLinks\` off.`,
  ];
  parts.push(
    "## The machine\n\n`pipelines` and `threads` follow from the cores, unless they are given or `serve` has measured better ones (`trial`). Cores are the processors that Node sees, or the quota of the container,\nrounded down, where that is less (`cpu.max` of the control group or of one above it; `cpu.cfs_quota_us` in version 1):\nwith more threads than its quota a container stands still at the end of each period. The start's log line and\n`millrace config` say which it was.",
  );
  for (const group of optionGroups) {
    const keys = optionKeys.filter((key) => optionTable[key].group === group);
    parts.push(`## ${group}`);
    parts.push(
      table(
        ["key", "flag", "variable", "default", "values", "meaning"],
        keys.map((key) => [
          `\`${key}\``,
          `\`${flagOf(key)}\``,
          `\`${variableOf(key)}\``,
          defaultText(key),
          bounds(optionTable[key]),
          optionTable[key].help,
        ]),
      ),
    );
  }
  parts.push(
    "## Former names",
    "Flags, variables and code may use these for this release only, and a line at the start names the new one. Both names in one\nsource are a contradiction. In a file they are what they were in its version, for good.",
    table(
      ["former key", "former flag", "former variable", "is now"],
      [...formerKeys].map(([former, key]) => [
        `\`${former}\``,
        `\`${flagOf(former)}\``,
        `\`${variableOf(former)}\``,
        `\`${key}\``,
      ]),
    ),
  );
  parts.push(
    "## The version of the file",
    `\`"${configVersionKey}": ${configVersion}\` in the file says which version of its format it has; a file without is of version 0, which had the former names above. An older file is read as what it\nwould be today, and a line at the start says what was renamed; \`millrace config migrate FILE\` writes it so, with its comments, and keeps what it was as \`FILE.v0\`. In a file of\nversion ${configVersion} a former name is an unknown key. A file of a newer version is refused: another Millrace wrote it.`,
  );
  const apart = optionKeys.filter((key) => !optionTable[key].hashed).map((key) => `\`${key}\``);
  parts.push(
    "## The configuration hash",
    `Eight digits over all values but ${apart.join(", ")}: two deployments with the same hash behave alike.`,
  );
  return `${parts.join("\n\n")}\n`;
}

function errorsPage() {
  const rows = Object.entries(errorRegistry).map(([code, entry]) => [
    `\`${code}\``,
    entry.status ?? "–",
    entry.retryable ? "yes" : "no",
    entry.meaning,
    entry.whatToDo,
  ]);
  const head = ["code", "HTTP status", "retryable", "meaning", "what to do"];
  return `${["# Error codes", note, "Compare codes, never messages. A status of – never comes over HTTP.", table(head, rows)].join("\n\n")}\n`;
}

function metricsPage() {
  const rows = Object.entries(metricTable).map(([name, metric]) => [
    `\`${name}\``,
    metric.type,
    metric.labels.map((label) => `\`${label}\``).join(", "),
    metric.help,
    metric.type === "histogram" ? metric.buckets.join(" ") : "",
  ]);
  const head = ["metric", "type", "labels", "meaning", "buckets"];
  return `${["# Metrics", note, "`GET /metrics`, in Prometheus' text format, answered from memory; in OpenMetrics where that is accepted, with exemplars ([tracing.md](tracing.md#openmetrics)).", table(head, rows)].join("\n\n")}\n`;
}

/** The page is written by hand, but for its table. */
function doctorPage() {
  const page = readFileSync("docs/doctor.md", "utf8");
  const end = "<!-- End of what is written. -->";
  const rows = Object.entries(findingTable).map(([code, entry]) => [
    `\`${code}\``,
    entry.when,
    entry.change,
  ]);
  const head = ["code", "said when", "what mostly ends it"];
  const [before, after] = [page.indexOf(note), page.indexOf(end)];
  if (before === -1 || after < before) throw new Error("docs/doctor.md has no place for its table");
  return `${page.slice(0, before)}${note}\n\n${table(head, rows)}\n\n${page.slice(after)}`;
}

// The formatter has a say in how a page looks, so it has its say here and not after the comparison.
function formatted(path, page) {
  const biome = fileURLToPath(new URL("../node_modules/@biomejs/biome/bin/biome", import.meta.url));
  const result = spawnSync(process.execPath, [biome, "format", `--stdin-file-path=${path}`], {
    input: page,
    encoding: "utf8",
  });
  if (result.status !== 0) throw new Error(`biome: ${result.stderr}`);
  return result.stdout;
}

const pages = {
  "docs/options.md": optionsPage(),
  "docs/errors.md": errorsPage(),
  "docs/metrics.md": metricsPage(),
  "docs/doctor.md": doctorPage(),
  "docs/fronts.md": await frontsPage(),
  "docs/clients/inference.proto": inferenceProto,
};
for (const [path, draft] of Object.entries(pages)) {
  const page = path.endsWith(".md") ? formatted(path, draft) : draft;
  if (!process.argv.includes("--check")) writeFileSync(path, page);
  else if (readFileSync(path, "utf8") !== page) {
    console.error(`${path} differs from its table; run: node scripts/docs.js`);
    process.exitCode = 1;
  }
}
