/**
 * What `deploy` says is so: options that exist, with values that are taken together; ports, paths and times that agree with each other;
 * fields that Kubernetes, Compose and systemd know. Nothing is deployed here.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments, parseDocument } from "yaml";
import { z } from "zod";
import { resolveConfiguration } from "#src/options/resolve.js";
import { optionKeys, variableOf } from "#src/options/table.js";
import { skipWithoutNats } from "../support/nats-server.js";
import { TempDir } from "../support/temp-dir.js";
import { composeFile } from "./compose-schema.js";
import { kubernetesObject, type PodSpec } from "./kubernetes-schema.js";

const read = (path: string): string => readFileSync(path, "utf8");

const files = readdirSync("deploy", { recursive: true, encoding: "utf8" })
  .map((name) => join("deploy", name))
  .filter((path) => /\.[a-z]+$|Dockerfile$/.test(path));

/** Of a stop beside its drain: `serve` ends by itself then. */
const stopMsMax = Number(
  /^const stopMsMax = ([\d_]+);$/m.exec(read("src/cli/serve.ts"))?.[1]?.replaceAll("_", ""),
);

function yamlOf(path: string): unknown[] {
  return parseAllDocuments(read(path), { strict: true, uniqueKeys: true, merge: true }).map(
    (document) => {
      assert.deepEqual([...document.errors, ...document.warnings].map(String), [], path);
      return document.toJS();
    },
  );
}

const manifests = files.filter(
  (path) =>
    path.startsWith("deploy/kubernetes") &&
    path.endsWith(".yaml") &&
    !path.endsWith("kustomization.yaml"),
);
const objects = manifests.flatMap((path) =>
  yamlOf(path).map((value) => {
    const parsed = kubernetesObject.safeParse(value);
    assert.ok(parsed.success, `${path}: ${parsed.success || z.prettifyError(parsed.error)}`);
    return { path, object: parsed.data };
  }),
);
const workloads = objects.flatMap(({ path, object }) =>
  object.kind === "Deployment" || object.kind === "StatefulSet" ? [{ path, object }] : [],
);
const servers = workloads.filter(({ object }) => object.metadata.name.startsWith("millrace"));
const compose = composeFile.parse(yamlOf("deploy/compose/compose.yaml")[0]);

test("every variable in deploy and docs/deploy.md is an option's", () => {
  const known = new Set([
    ...optionKeys.map(variableOf),
    "MILLRACE_CONFIG",
    "MILLRACE_KEY",
    "MILLRACE_URL",
  ]);
  let seen = 0;
  for (const path of [...files, "docs/deploy.md"]) {
    for (const [name] of read(path).matchAll(/\bMILLRACE_[A-Z_]+\b/g)) {
      assert.ok(known.has(name), `${path} names ${name}`);
      seen += 1;
    }
  }
  assert.ok(seen > 40);
});

test("the values that each server gets are taken together", () => {
  const configurations = [
    ...servers.map(({ path, object }) => [path, environmentOf(object.spec.template.spec)] as const),
    ["the unit", unitEnvironment()] as const,
    [
      "the image, with keys",
      { ...imageEnvironment(), MILLRACE_KEYS: "/etc/millrace/keys.json" },
    ] as const,
    ...["edge", "node"].map((name) => {
      const own = compose.services[name]?.environment ?? {};
      return [
        name,
        { ...imageEnvironment(), ...own, MILLRACE_NATS: "nats://millrace:word@nats:4222" },
      ] as const;
    }),
  ];
  for (const [path, variables] of configurations) {
    const { warnings, sources, options } = resolveConfiguration({ variables });
    const named = Object.keys(variables).filter((name) => name.startsWith("MILLRACE_"));
    assert.equal(
      Object.values(sources).filter((source) => source === "variable").length,
      named.length,
      path,
    );
    assert.equal(options.drainMs, 30_000, path);
    const open = warnings.filter((warning) => !/TLS|readable|open files/.test(warning));
    assert.deepEqual(open, [], path);
  }
});

test("the image alone does not start open to everybody", () => {
  assert.throws(() => resolveConfiguration({ variables: imageEnvironment() }), /0\.0\.0\.0/);
});

for (const { path, object } of workloads) {
  const { name } = object.metadata;
  const pod = object.spec.template.spec;
  const [container] = pod.containers;

  test(`${name}: probes ask at ports that are there, and Services lead to them`, () => {
    const ports = new Map(
      container.ports.map(({ name: port, containerPort }) => [port, containerPort]),
    );
    const { startupProbe, livenessProbe, readinessProbe } = container;
    for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe])
      assert.ok(ports.has(httpGet.port));
    const services = objects.flatMap(({ object: each }) => (each.kind === "Service" ? [each] : []));
    const own = services.filter(({ spec }) =>
      isSubset(spec.selector, object.spec.template.metadata.labels),
    );
    assert.ok(own.length > 0, "no Service leads here");
    for (const { spec } of own)
      for (const { targetPort } of spec.ports) assert.ok(ports.has(targetPort));
    if (object.kind === "StatefulSet") {
      assert.ok(own.some((each) => each.metadata.name === object.spec.serviceName));
    }
    if (!name.startsWith("millrace")) return;
    assert.equal(environmentOf(pod)["MILLRACE_PORT"], String(ports.get("http")));
    assert.equal(livenessProbe.httpGet.path, "/live");
    assert.equal(startupProbe.httpGet.path, "/live");
    assert.equal(readinessProbe.httpGet.path, "/ready");
    const routes = read("src/front/native/native.ts");
    for (const route of ["/live", "/ready"]) {
      assert.ok(routes.includes(`memory("${route}", { access: "open"`), `${route} needs a key`);
    }
  });

  test(`${name}: it is selected by its own labels, and spread and kept by them`, () => {
    const { labels } = object.spec.template.metadata;
    assert.ok(isSubset(object.spec.selector.matchLabels, labels));
    for (const { labelSelector } of pod.topologySpreadConstraints ?? []) {
      assert.deepEqual(labelSelector.matchLabels, object.spec.selector.matchLabels);
    }
    if (object.spec.replicas === 1) return;
    assert.ok((pod.topologySpreadConstraints ?? []).length > 0);
    const budgets = objects.flatMap(({ object: each }) =>
      each.kind === "PodDisruptionBudget" ? [each.spec.selector.matchLabels] : [],
    );
    assert.ok(budgets.some((labels) => isSubset(labels, object.spec.selector.matchLabels)));
  });

  test(`${name}: what it mounts and reads is there, and nobody may write anywhere else`, () => {
    const claims = object.kind === "StatefulSet" ? (object.spec.volumeClaimTemplates ?? []) : [];
    const volumes = new Map([
      ...pod.volumes.map((volume) => [volume.name, volume] as const),
      ...claims.map(({ metadata }) => [metadata.name, { name: metadata.name }] as const),
    ]);
    assert.deepEqual(
      container.volumeMounts.map((mount) => mount.name).toSorted(),
      [...volumes.keys()].toSorted(),
    );
    const secrets = new Map(
      objects.flatMap(({ object: each }) =>
        each.kind === "Secret" ? [[each.metadata.name, Object.keys(each.stringData)] as const] : [],
      ),
    );
    for (const { valueFrom } of container.env) {
      if (valueFrom === undefined || !("secretKeyRef" in valueFrom)) continue;
      const { name: secret, key } = valueFrom.secretKeyRef;
      assert.ok(secrets.get(secret)?.includes(key), `${secret} has no ${key}`);
    }
    for (const volume of pod.volumes) {
      if ("secret" in volume) assert.ok(secrets.has(volume.secret.secretName));
    }
    if (!name.startsWith("millrace")) return;
    const { options } = resolveConfiguration({ variables: environmentOf(pod) });
    const writable = container.volumeMounts.filter(({ readOnly }) => readOnly !== true);
    const isWritable = (to: string | null): boolean =>
      to === null ||
      writable.some(({ mountPath }) => to.startsWith(`${mountPath}/`) || to === mountPath);
    for (const to of [options.cacheDir, options.data, options.keysUsage]) {
      assert.ok(isWritable(to), `${path}: ${to ?? ""} cannot be written`);
    }
    assert.ok(!isWritable(options.keys));
    assert.ok(
      container.volumeMounts.some(({ mountPath }) => options.keys?.startsWith(`${mountPath}/`)),
    );
  });

  test(`${name}: it has the time to drain before it is killed`, () => {
    const [command, seconds] = container.lifecycle?.preStop.exec.command ?? [];
    const beforeMs = command === "sleep" ? Number(seconds) * 1_000 : 0;
    const graceMs = pod.terminationGracePeriodSeconds * 1_000;
    if (!name.startsWith("millrace")) return assert.ok(graceMs >= 35_000);
    const { drainMs } = resolveConfiguration({ variables: environmentOf(pod) }).options;
    const needsMs = beforeMs + drainMs + stopMsMax;
    assert.ok(needsMs > 0 && graceMs > needsMs, `${graceMs} ms, and a stop may take ${needsMs}`);
  });
}

test("the unit and the containers of compose have the time to drain before they are killed", () => {
  const unit = read("deploy/systemd/millrace.service");
  const unitMs = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) * 1_000;
  const { drainMs } = resolveConfiguration({ variables: unitEnvironment() }).options;
  assert.ok(unitMs > drainMs + stopMsMax);
  for (const name of ["edge", "node"]) {
    const service = compose.services[name];
    const graceMs = Number(/^(\d+)s$/.exec(service?.stop_grace_period ?? "")?.[1]) * 1_000;
    assert.ok(graceMs > Number(service?.environment?.["MILLRACE_DRAIN_MS"]) + stopMsMax, name);
  }
});

test("kustomization.yaml names files that are there, and all that a deployment needs", () => {
  const { resources, configMapGenerator } = kustomization.parse(
    yamlOf("deploy/kubernetes/kustomization.yaml")[0],
  );
  for (const name of [...resources, ...configMapGenerator.flatMap(({ files: named }) => named)]) {
    assert.ok(existsSync(join("deploy/kubernetes", name)), name);
  }
  const left = manifests
    .map((path) => path.slice("deploy/kubernetes/".length))
    .filter((name) => !resources.includes(name));
  assert.deepEqual(left.toSorted(), ["secrets.example.yaml", "single.yaml"]);
  const maps = new Set(configMapGenerator.map(({ name }) => name));
  for (const { object } of workloads) {
    for (const volume of object.spec.template.spec.volumes) {
      if ("configMap" in volume) assert.ok(maps.has(volume.configMap.name));
    }
  }
});

test("compose: ports, health checks, files and volumes agree with the image and with NATS", () => {
  const image = read("deploy/container/Dockerfile");
  const port = imageEnvironment()["MILLRACE_PORT"];
  assert.ok(image.includes(`EXPOSE ${port}\n`));
  assert.match(image, /^HEALTHCHECK .*\n +CMD .*\/live/m);
  const { edge, node, nats } = compose.services;
  assert.ok(edge !== undefined && node !== undefined && nats !== undefined);
  assert.deepEqual(edge.ports, [`127.0.0.1:${port}:${port}`]);
  assert.equal(edge.environment?.["MILLRACE_ROLE"], "edge");
  assert.equal(node.environment?.["MILLRACE_ROLE"], "node");
  const conf = read("deploy/compose/nats.conf");
  assert.match(conf, /^listen: "0\.0\.0\.0:4222"$/m);
  assert.ok(edge.environment["MILLRACE_NATS"]?.endsWith("@nats:4222"));
  assert.equal(edge.environment["MILLRACE_NATS"], node.environment["MILLRACE_NATS"]);
  const monitor = /^http: "127\.0\.0\.1:(\d+)"$/m.exec(conf)?.[1];
  assert.ok(nats.healthcheck?.test.includes(`http://127.0.0.1:${monitor}/healthz`));
  for (const [name, { volumes = [], build }] of Object.entries(compose.services)) {
    for (const volume of volumes) {
      const [from = ""] = volume.split(":");
      if (from === "./keys.json") continue;
      const isThere = from.startsWith("./")
        ? existsSync(join("deploy/compose", from))
        : from in compose.volumes;
      assert.ok(isThere, `${name}: ${volume}`);
    }
    if (build === undefined) continue;
    assert.ok(existsSync(join("deploy/compose", build.context, build.dockerfile)));
  }
});

test("the container file copies what is there, and what it needs is not left out", () => {
  const text = read("deploy/container/Dockerfile");
  const ignored = read("deploy/container/Dockerfile.dockerignore");
  const copied = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, from = ""]) =>
    from.split(" "),
  );
  assert.ok(copied.length > 8);
  for (const from of copied) {
    assert.ok(existsSync(from), from);
    assert.ok(ignored.includes(`\n!${from.split("/")[0]}\n`), `${from} is left out of the context`);
  }
  assert.match(text, /^USER 1000:1000$/m);
  assert.match(text, /npm ci --ignore-scripts/);
});

test("NATS takes its configuration", { skip: skipWithoutNats }, () => {
  const word = { NATS_PASSWORD: "m0123", POD_NAME: "nats-0" };
  const routes = Object.fromEntries(
    [0, 1, 2].map((at) => [`ROUTE_${at}`, `nats://route:m0123@nats-${at}.nats-routes:6222`]),
  );
  for (const path of ["deploy/compose/nats.conf", "deploy/kubernetes/nats.conf"]) {
    const env = { ...process.env, ...word, ...routes };
    const { status, stderr } = spawnSync("nats-server", ["-t", "-c", path], {
      env,
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
  }
  const nats = workloads.find(({ object }) => object.metadata.name === "nats")?.object;
  const given = new Set(nats?.spec.template.spec.containers[0].env.map(({ name }) => name));
  for (const [, name = ""] of read("deploy/kubernetes/nats.conf").matchAll(/\$([A-Z]\w+)/g)) {
    assert.ok(given.has(name), `the container has no ${name}`);
  }
});

const withoutSystemd =
  spawnSync("systemd-analyze", ["--version"]).status === 0
    ? false
    : "systemd-analyze is not there: Debian's package systemd has it";

test("systemd takes the unit, and finds little that it could still be kept from", {
  skip: withoutSystemd,
}, async () => {
  await using dir = await TempDir.make();
  const path = dir.file("millrace.service");
  // Node need not be installed where the unit looks for it.
  await writeFile(
    path,
    read("deploy/systemd/millrace.service").replaceAll("/usr/bin/node", process.execPath),
  );
  const verified = spawnSync("systemd-analyze", ["verify", "--man=no", path], { encoding: "utf8" });
  const about = verified.stderr.split("\n").filter((line) => line.includes("millrace.service"));
  assert.deepEqual([verified.status, about], [0, []]);
  const exposure = execFileSync(
    "systemd-analyze",
    ["security", "--offline=true", "--threshold=30", path],
    { encoding: "utf8" },
  );
  assert.match(exposure, /Overall exposure level/);
});

const kustomization = z.strictObject({
  apiVersion: z.literal("kustomize.config.k8s.io/v1beta1"),
  kind: z.literal("Kustomization"),
  namespace: z.string(),
  resources: z.array(z.string()),
  images: z.array(z.strictObject({ name: z.string(), newName: z.string(), newTag: z.string() })),
  configMapGenerator: z.array(z.strictObject({ name: z.string(), files: z.array(z.string()) })),
});

/** Secrets and fields with a value of their kind. */
function environmentOf(pod: PodSpec): Record<string, string> {
  const entries = pod.containers[0].env.map(({ name, value, valueFrom }) => {
    if (value !== undefined) return [name, value];
    const isUrl =
      valueFrom !== undefined &&
      "secretKeyRef" in valueFrom &&
      valueFrom.secretKeyRef.key === "url";
    return [name, isUrl ? "nats://millrace:word@nats.millrace.svc:4222" : "a-name"];
  });
  return Object.fromEntries(entries) as Record<string, string>;
}

function unitEnvironment(): Record<string, string> {
  const lines = read("deploy/systemd/millrace.service").matchAll(/^Environment=(\w+)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, name = "", value = ""]) => [name, value]));
}

function imageEnvironment(): Record<string, string> {
  const block =
    /^ENV (NODE_ENV(?:.*\\\n)*.*)$/m.exec(read("deploy/container/Dockerfile"))?.[1] ?? "";
  const pairs = block.matchAll(/(\w+)=(\S+)/g);
  return Object.fromEntries([...pairs].map(([, name = "", value = ""]) => [name, value]));
}

function isSubset(
  part: Readonly<Record<string, string>>,
  whole: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(part).every(([name, value]) => whole[name] === value);
}

// A file that does not parse is a mistake and no warning: what this stands on is tried here.
test("a key that stands twice is found", () => {
  assert.equal(parseDocument("a: 1\na: 2\n", { uniqueKeys: true }).errors.length, 1);
});
