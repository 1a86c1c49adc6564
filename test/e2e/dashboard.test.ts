/** The dashboard and the alerts of `deploy`: each of their queries against what servers of a deployment serve at `/metrics`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { createServer } from "#src/index.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { OtlpCollector } from "../support/otlp-collector.js";
import { namesIn, samplesIn } from "../support/promql.js";
import { getReady, postJson, until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const dashboard = z
  .object({
    templating: z.object({ list: z.array(z.object({ name: z.string() }).loose()) }),
    annotations: z.object({ list: z.array(z.object({ expr: z.string() })) }),
    panels: z.array(
      z.object({
        id: z.int(),
        type: z.enum(["row", "stat", "timeseries"]),
        title: z.string(),
        gridPos: z.object({ h: z.int(), w: z.int(), x: z.int(), y: z.int() }),
        targets: z.array(z.object({ refId: z.string(), expr: z.string() })).default([]),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync("deploy/grafana/millrace.json", "utf8")));

const rulesPath = "deploy/prometheus/millrace.rules.yaml";
const { groups } = z
  .object({
    groups: z.array(
      z.object({
        rules: z.array(
          z.object({
            alert: z.string(),
            expr: z.string(),
            labels: z.object({ severity: z.enum(["critical", "warning", "info"]) }),
            annotations: z.object({ summary: z.string(), runbook: z.string() }),
          }),
        ),
      }),
    ),
  })
  .parse(parse(readFileSync(rulesPath, "utf8")));
const alerts = groups.flatMap(({ rules }) => rules);

/** What Grafana would put in the place of its variables. */
const asked = (query: string): string =>
  query.replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".*");
const queries: readonly string[] = [
  ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => asked(expr))),
  ...dashboard.annotations.list.map(({ expr }) => asked(expr)),
  ...alerts.map(({ expr }) => expr),
];

/** By Prometheus, to every sample; and `le`, to a histogram's. */
const givenLabels = ["instance", "job"];

/** What comes only while a job is open, or where something goes wrong: its name is on every page, and its labels stand in docs/metrics.md. */
const rare: readonly string[] = [
  "millrace_jobs",
  "millrace_node_losses_total",
  "millrace_model_evictions_total",
  "millrace_trace_spans_dropped_total",
];

describe("queries of the dashboard and of the alerts", () => {
  let pages: readonly string[] = [];
  let samples: ReadonlyMap<string, ReadonlySet<string>> = new Map();

  before(async () => {
    if (skipWithoutNats !== false) return;
    pages = await pagesOfDeployment();
    samples = samplesIn(pages.join("\n"));
  });

  test("there are as many as panels and alerts want, and none is twice", () => {
    assert.ok(queries.length >= 40);
    const ids = dashboard.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const rows = dashboard.panels.flatMap(({ type, title }) => (type === "row" ? [title] : []));
    const words = ["Traffic", "Latency", "Queue", "Pipelines", "Memory", "Jobs", "Nodes"];
    assert.deepEqual(
      rows.map((title) => title.split(" ", 1)[0]),
      words,
    );
    for (const { type, title, targets } of dashboard.panels) {
      assert.equal(targets.length > 0, type !== "row", title);
    }
    for (const { expr } of dashboard.panels.flatMap(({ targets }) => targets)) {
      assert.ok(expr.includes('instance=~"$instance"'), `${expr} is of all servers`);
    }
  });

  test("every metric and every label that one names is on the page", {
    skip: skipWithoutNats,
  }, () => {
    for (const query of queries) {
      const { metrics, selectors, grouped } = namesIn(query);
      assert.ok(metrics.size > 0, query);
      const labelsOf = (metric: string): readonly string[] => {
        if (rare.includes(metric)) return labelsInDocs(metric);
        const found = samples.get(metric);
        assert.ok(found !== undefined, `${metric} has no sample; ${query}`);
        return [...found];
      };
      for (const metric of metrics) {
        const name = metric.replace(/_(bucket|sum|count)$/, "");
        const hasType = pages.some((page) =>
          [metric, name].some((each) => page.includes(`\n# TYPE ${each} `)),
        );
        assert.ok(hasType || pages.some((page) => page.startsWith(`# HELP ${name}`)), metric);
        labelsOf(metric);
      }
      for (const { metric, label } of selectors) {
        const known = [...labelsOf(metric), ...givenLabels];
        assert.ok(known.includes(label), `${metric} has no label ${label}; ${query}`);
      }
      const all = [...metrics].flatMap((metric) => labelsOf(metric));
      for (const label of grouped) {
        assert.ok([...all, ...givenLabels].includes(label), `nothing has ${label}; ${query}`);
      }
    }
  });

  test("each alert says what to do, where that is said", () => {
    const docs = readFileSync("docs/tracing.md", "utf8");
    const anchors = new Set(
      [...docs.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
        title
          .toLowerCase()
          .replaceAll(/[^a-z0-9 -]/g, "")
          .replaceAll(" ", "-"),
      ),
    );
    assert.ok(alerts.length >= 10);
    for (const { alert, annotations } of alerts) {
      const [file, anchor = ""] = annotations.runbook.split("#");
      assert.equal(file, "docs/tracing.md");
      assert.ok(anchors.has(anchor), `${alert}: ${annotations.runbook} is not there`);
      assert.ok(docs.includes(`\`${alert}\``), `docs/tracing.md says nothing of ${alert}`);
    }
  });

  const promtool = spawnSync("promtool", ["--version"]).status === 0;
  const skip = promtool ? false : "promtool is not there: Debian's package prometheus has it";
  test("Prometheus' own tool reads every query and rule, and the page", { skip }, async () => {
    await using dir = await TempDir.make();
    const rules = queries.map((expr, at) => ({ record: `query:${at}`, expr }));
    const path = dir.file("queries.yaml");
    await writeFile(path, JSON.stringify({ groups: [{ name: "queries", rules }] }));
    const checked = spawnSync("promtool", ["check", "rules", path, rulesPath], {
      encoding: "utf8",
    });
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
    for (const page of pages) {
      const linted = spawnSync("promtool", ["check", "metrics"], { input: page, encoding: "utf8" });
      // What it finds of names is its taste (3); what it cannot read is an error (1).
      assert.notEqual(linted.status, 1, linted.stderr);
    }
  });
});

function labelsInDocs(metric: string): readonly string[] {
  const [, labels = ""] =
    new RegExp(`^\\| \`${metric}\` +\\| \\w+ +\\| ([^|]*)\\|`, "m").exec(
      readFileSync("docs/metrics.md", "utf8"),
    ) ?? [];
  return [...labels.matchAll(/`(\w+)`/g)].map(([, label = ""]) => label);
}

/** An edge and a node that have done some of everything: requests of both classes, refusals, a job. */
async function pagesOfDeployment(): Promise<readonly string[]> {
  await using models = await TempDir.make();
  await writeMadeEncoder(models.file("embed"), { inputTokensMax: 64 });
  await using nats = await NatsServer.start();
  await using collector = await OtlpCollector.start();
  const options = { models: models.path, nats: nats.url, port: 0, logLevel: "silent" } as const;
  const pipelines = { pipelines: 1, threads: 1, otlpUrl: collector.url };
  await using node = await createServer({ ...options, ...pipelines, role: "node", node: "n1" });
  await using edge = await createServer({ ...options, role: "edge", node: "e1" });
  await until(async () => (await getReady(edge.url)).body.ready);
  const embed = async (fields: object): Promise<number> =>
    (await postJson(`${edge.url}/v1/embed`, fields)).status;
  assert.equal(await embed({ texts: ["one", "two words"] }), 200);
  assert.equal(await embed({ texts: ["one"], class: "bulk" }), 200);
  assert.equal(await embed({ texts: [] }), 422);
  const job = await fetch(`${edge.url}/v1/jobs`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: '{"task":"embed"}\n"one"\n',
  });
  assert.equal(job.status, 202, await job.clone().text());
  const page = async (url: string): Promise<string> => await (await fetch(`${url}/metrics`)).text();
  // The job's line was done, and the pipeline has reported.
  const shown = async (pattern: RegExp): Promise<boolean> => {
    return pattern.test(`${await page(edge.url)}${await page(node.url)}`);
  };
  await until(() => shown(/^millrace_job_lines_total\{outcome="done"\} 1$/m));
  await until(() => shown(/^millrace_stage_runs_total\{/m));
  return [await page(edge.url), await page(node.url)];
}
