import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { currentKeyOf } from "#src/options/config-file.js";
import type { Machine } from "#src/options/machine.js";
import { type ConfigurationInput, resolveConfiguration } from "#src/options/resolve.js";
import { flagOf, formerKeys, optionKeys, optionTable, variableOf } from "#src/options/table.js";
import { tracesUrlOf } from "#src/tracing/traces-url.js";

const machine: Machine = {
  cores: 8,
  coresFrom: "a test",
  memoryBytes: 2 ** 34,
  memoryFrom: "a test",
  openFilesMax: 4096,
  hostName: "here",
  bundledModelsDir: "/bundled",
  cacheDir: "/cache",
};

function problemsOf(input: ConfigurationInput): string[] {
  try {
    resolveConfiguration({ machine, ...input });
  } catch (error) {
    assert.ok(error instanceof MillraceError && error.code === "option_invalid");
    return error.message.split("\n");
  }
  return [];
}

function withFile(content: string, use: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "millrace-options-"));
  const path = join(folder, "millrace.json");
  writeFileSync(path, content);
  try {
    use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a flag wins over a variable, a variable over the file, the file over the default", () => {
  withFile('{"port": 1, "threads": 1, "rowsMax": 16}', (file) => {
    const { options, sources } = resolveConfiguration({
      machine,
      file,
      variables: { MILLRACE_PORT: "2", MILLRACE_THREADS: "2", PATH: "x" },
      flags: { port: "3" },
    });
    assert.deepEqual(
      [options.port, options.threads, options.rowsMax, options.host],
      [3, 2, 16, "127.0.0.1"],
    );
    assert.deepEqual(
      [sources.port, sources.threads, sources.rowsMax, sources.host],
      ["flag", "variable", "file", "default"],
    );
    assert.ok(Object.isFrozen(options));
  });
});

test("everything that is wrong is reported at once, where it was written", () => {
  withFile('{"prot": 1, "policy": "milrace"}', (file) => {
    const problems = problemsOf({
      file,
      variables: { MILLRACE_TREADS: "2", MILLRACE_PORT: "70000" },
      flags: { environment: "a b", rowsMax: "many" },
    });
    assert.deepEqual(problems, [
      `prot in ${file}: there is no such option (did you mean \`port\`?)`,
      `policy in ${file}: "milrace" is none of millrace, fcfs, seed-router (did you mean \`millrace\`?)`,
      "MILLRACE_TREADS: there is no such option (did you mean `MILLRACE_THREADS`?)",
      "MILLRACE_PORT: 70000 is not between 0 and 65535",
      '--environment: "a b" is not 1 to 64 letters, digits, dots, dashes or underscores',
      '--rows-max: "many" is not a whole number of rows',
    ]);
  });
});

test("a file that is missing, or is no object, is named", () => {
  assert.match(
    problemsOf({ file: "/nowhere/x.json" })[0] ?? "",
    /^\/nowhere\/x.json: there is no such file/,
  );
  withFile("[1]", (file) => assert.match(problemsOf({ file })[0] ?? "", /one JSON object/));
  withFile("{", (file) => assert.equal(problemsOf({ file }).length, 1));
});

test("values of the wrong type are refused from every source", () => {
  const bad: readonly unknown[] = [
    "",
    "1.5",
    "-1",
    "0x10",
    "1e3",
    " 1",
    1.5,
    Number.NaN,
    null,
    true,
    [1],
  ];
  for (const port of bad) assert.equal(problemsOf({ code: { port } }).length, 1, String(port));
  for (const host of ["", 1, null]) assert.equal(problemsOf({ code: { host } }).length, 1);
});

test("shared and dedicated pipelines contradict each other", () => {
  const [problem] = problemsOf({
    flags: { pipelines: "2", realtimePipelines: "1", bulkPipelines: "1" },
  });
  assert.match(problem ?? "", /^--pipelines and --realtime-pipelines contradict/);
  assert.match(problemsOf({ flags: { realtimePipelines: "1" } })[0] ?? "", /come together/);
  assert.match(problemsOf({ flags: { pipelines: "0" } })[0] ?? "", /at least one/);
});

test("a server of one role alone, half a certificate and a prefix that NATS would cut are refused", () => {
  for (const role of ["edge", "node"] as const) {
    assert.match(problemsOf({ code: { role } })[0] ?? "", /there is no --nats/);
    assert.deepEqual(problemsOf({ code: { role, nats: "nats://127.0.0.1" } }), []);
  }
  assert.match(problemsOf({ code: { natsCert: "/a" } })[0] ?? "", /come together/);
  assert.match(problemsOf({ code: { natsPrefix: "a.b" } })[0] ?? "", /letters, digits/);
});

test("limits that contradict each other are refused", () => {
  assert.equal(problemsOf({ code: { requestTimeoutMsMax: 1000 } }).length, 1);
  assert.equal(problemsOf({ code: { queuedBytesMax: 65536 } }).length, 1);
  assert.equal(problemsOf({ code: { queuedItemsMax: 10 } }).length, 1);
});

test("pipelines and threads follow from the machine and from what was asked for", () => {
  const layout = (code: object, of: Partial<Machine> = {}): number[] => {
    const { options } = resolveConfiguration({ machine: { ...machine, ...of }, code: { ...code } });
    return [options.pipelines, options.threads];
  };
  assert.deepEqual(layout({}), [8, 1]);
  assert.deepEqual(layout({}, { cores: 1 }), [1, 1]);
  assert.deepEqual(layout({}, { memoryBytes: 5 * 2 ** 30 }), [2, 4]);
  assert.deepEqual(layout({}, { memoryBytes: 2 ** 28 }), [1, 8]);
  assert.deepEqual(layout({}, { cores: 128, memoryBytes: 2 ** 40 }), [64, 2]);
  assert.deepEqual(layout({ threads: 4 }), [2, 4]);
  assert.deepEqual(layout({ threads: 16 }), [1, 16]);
  assert.deepEqual(layout({ pipelines: 8 }), [8, 1]);
  assert.deepEqual(layout({ pipelines: 100 }), [100, 1]);
  assert.deepEqual(layout({ realtimePipelines: 1, bulkPipelines: 1 }), [0, 4]);
});

test("defect: where memory bounds the pipelines, their threads leave no core idle", () => {
  for (let cores = 1; cores <= 96; cores += 1) {
    for (const gib of [0.25, 1, 2, 4, 5, 8, 16, 31, 64, 512]) {
      const { options } = resolveConfiguration({
        machine: { ...machine, cores, memoryBytes: gib * 2 ** 30 },
      });
      const used = options.pipelines * options.threads;
      assert.ok(used > 0.7 * cores && used <= cores, `${used} of ${cores} cores with ${gib} GiB`);
    }
  }
});

test("the hash is of what matters: not of the address or the log", () => {
  const hash = (code: object): string => resolveConfiguration({ machine, code: { ...code } }).hash;
  assert.match(hash({}), /^[0-9a-f]{8}$/);
  assert.equal(
    hash({ port: 1, host: "::1", log: "json", node: "there", environment: "prod" }),
    hash({}),
  );
  assert.notEqual(hash({ rowsMax: 8 }), hash({}));
});

test("variables that Kubernetes sets for a service of our name are no options", () => {
  const variables = {
    MILLRACE_SERVICE_HOST: "10.0.0.1",
    MILLRACE_PORT_8400_TCP: "x",
    MILLRACE_URL: "x",
  };
  assert.deepEqual(problemsOf({ variables }), []);
});

test("paths of a file are meant from the file, flags from the working folder", () => {
  withFile('{"models": "m"}', (file) => {
    assert.equal(resolveConfiguration({ file }).options.models, join(file, "..", "m"));
  });
  assert.equal(
    resolveConfiguration({ flags: { models: "m" } }).options.models,
    join(process.cwd(), "m"),
  );
});

test("names, flags and variables follow one rule, and every help is a sentence", () => {
  assert.equal(flagOf("requestTimeoutMsMax"), "--request-timeout-ms-max");
  assert.equal(variableOf("requestTimeoutMsMax"), "MILLRACE_REQUEST_TIMEOUT_MS_MAX");
  for (const key of optionKeys) assert.match(optionTable[key].help, /^[A-Z`].*\.$/, key);
});

test("a former name answers from every source, and a warning names the new one", () => {
  assert.ok(formerKeys.size > 0);
  for (const [former, key] of formerKeys) {
    const value = 20;
    const others = key === "bulkPipelines" ? { realtimePipelines: 1 } : {};
    const input = { machine, code: others };
    const from = (more: ConfigurationInput): readonly string[] => {
      const { options, warnings } = resolveConfiguration({ ...input, ...more });
      assert.equal(options[key], value);
      return warnings.filter((warning) => warning.includes(" is now "));
    };
    const [flag, variable] = [flagOf(former), variableOf(former)];
    for (const [[warning, ...rest], name, current] of [
      [from({ flags: { [former]: String(value) } }), flag, flagOf(key)],
      [from({ variables: { [variable]: String(value) } }), variable, variableOf(key)],
      [from({ code: { ...others, [former]: value } }), former, key],
    ] as const) {
      assert.ok(warning?.startsWith(`${name} is now ${current};`), warning);
      assert.deepEqual(rest, []);
    }
    withFile(JSON.stringify({ [former]: value }), (file) => {
      assert.match(from({ file })[0] ?? "", new RegExp(`^${former} in .* is now ${key} in `));
    });
  }
});

test("a former name and its new one in one source contradict each other; between sources the stronger wins", () => {
  const code = { requestItemsMax: 5, requestInputsMax: 6 };
  assert.deepEqual(problemsOf({ code }), [
    "requestItemsMax and requestInputsMax contradict each other: they are the same option",
  ]);
  assert.deepEqual(problemsOf({ flags: { requestInputsMax: "6", requestItemsMax: "5" } }), [
    "--request-inputs-max and --request-items-max contradict each other: they are the same option",
  ]);
  const { options, sources } = resolveConfiguration({
    machine,
    variables: { MILLRACE_REQUEST_ITEMS_MAX: "5" },
    flags: { requestInputsMax: "6" },
  });
  assert.deepEqual([options.requestInputsMax, sources.requestInputsMax], [6, "flag"]);
  assert.match(problemsOf({ flags: { requestItemsMax: "x" } })[0] ?? "", /^--request-items-max: /);
});

test("what is allowed and hardly meant is warned of", () => {
  const warnings = (code: object): readonly string[] =>
    resolveConfiguration({ machine, code: { ...code } }).warnings;
  assert.deepEqual(warnings({}), []);
  assert.match(warnings({ connectionsMax: 100_000 }).join(), /^connectionsMax is 100000, .* 4096/);
  assert.match(warnings({ queuedBytesMax: 2 ** 36 }).join(), /more than half of the memory/);
  assert.match(warnings({ threads: 256 }).join(), /1 × 256 threads .* 8 cores/);
});

test("defect 2: no time in the table, and nothing made of one, is too long for a timer", () => {
  const timerMsMax = 2 ** 31 - 1;
  for (const key of optionKeys) {
    const definition = optionTable[key];
    if (definition.type !== "integer" || definition.unit !== "ms") continue;
    // The backoff is doubled up to 60 times its option; a stop may take 15 s beside the drain.
    const longest = key === "restartBackoffMs" ? 60 * definition.max : definition.max + 60_000;
    assert.ok(longest <= timerMsMax, key);
  }
});

test("a section of the file has the names of the program that is replaced, null among its values", () => {
  const section = { port: 5555, port_out: 5556, max_seq_len: null, pooling_layer: -3 };
  withFile(JSON.stringify({ bert: section }), (file) => {
    const { options } = resolveConfiguration({ machine, file });
    const { bertPort, bertPortOut, bertMaxSeqLen, bertPoolingLayer } = options;
    assert.deepEqual([bertPort, bertPortOut, bertMaxSeqLen, bertPoolingLayer], [5555, 5556, 0, -3]);
  });
  const flags = { bertPort: "5555", bertPortOut: "5556", bertPoolingLayer: "-1" };
  assert.equal(resolveConfiguration({ machine, flags }).options.bertPoolingLayer, -1);
  withFile('{"bert": {"pooling_layer": [-4, -3], "port": null}}', (file) => {
    assert.match(problemsOf({ file }).join(), /\[-4,-3\] is a list: .*null is not a whole/);
  });
});

test("a port of ZeroMQ that others can reach is encrypted, or meant", () => {
  const ports = { bertPort: 5555, bertPortOut: 5556 };
  for (const zmqHost of ["127.0.0.1", "127.8.9.1", "::1", "localhost"]) {
    assert.deepEqual(problemsOf({ code: { ...ports, zmqHost } }), []);
  }
  const open = { ...ports, zmqHost: "0.0.0.0" };
  assert.match(problemsOf({ code: open }).join(), /zmqHost is 0.0.0.0.*nothing is encrypted/);
  assert.deepEqual(problemsOf({ code: { ...open, insecure: true } }), []);
  assert.deepEqual(problemsOf({ code: { ...open, zmqCurveSecretKeyFile: "/keys" } }), []);
  assert.match(problemsOf({ code: { bertPort: 5555 } }).join(), /bertPort needs --bert-port-out/);
});

test("defect: a protocol that there is not is a wrong option, and not a start that failed", () => {
  const flags = (fronts: string): ConfigurationInput => ({ flags: { fronts } });
  assert.match(
    problemsOf(flags("opnai")).join(),
    /^--fronts: there is no protocol "opnai" \(did you mean `openai`\?\); there are: all, native, /,
  );
  assert.deepEqual(problemsOf(flags("tei, tei")), ["--fronts: tei is named twice"]);
  assert.deepEqual(problemsOf(flags("deepl, native")), []);
});

test("defect: two listeners may not want one port of one address, whichever they are", () => {
  const both = (flags: Readonly<Record<string, string>>): string[] => problemsOf({ flags });
  const bert = { bertPort: "8400", bertPortOut: "5556" };
  assert.deepEqual(both(bert), ["--bert-port and --port are both 8400"]);
  assert.deepEqual(both({ grpcPort: "8400" }), ["--grpc-port and --port are both 8400"]);
  assert.deepEqual(both({ bertPort: "5555", bertPortOut: "5555" }), [
    "--bert-port-out and --bert-port are both 5555",
  ]);
  assert.deepEqual(both({ ...bert, host: "10.0.0.1", insecure: "true" }), []);
  assert.deepEqual(both({ ...bert, host: "0.0.0.0", insecure: "true" }).length, 1);
  assert.deepEqual(both({ port: "0", grpcPort: "0", adminPort: "0" }), []);
});

test("a list of one layer is that layer, as bert-as-service writes it; a longer one is told why not", () => {
  withFile('{"bert": {"pooling_layer": [-3]}}', (file) => {
    assert.equal(resolveConfiguration({ machine, file }).options.bertPoolingLayer, -3);
  });
  const problems = (bertPoolingLayer: unknown): string =>
    problemsOf({ code: { bertPoolingLayer } }).join();
  for (const list of [[-2, -1], "-2,-1", "-2 -1", "[-2, -1]"]) {
    assert.match(
      problems(list),
      /^bertPoolingLayer: .* is a list: the states of one layer are pooled/,
    );
  }
  for (const none of [[], [[]], ["x"], "", ",", {}]) {
    assert.match(problems(none), /is not a whole number of layers/);
  }
  assert.equal(problems("-2"), "");
});

test("a ratio is a number from 0 to 1, wherever it comes from", () => {
  const ratioOf = (traceSampleRatio: unknown): number =>
    resolveConfiguration({ machine, flags: { traceSampleRatio } }).options.traceSampleRatio;
  for (const given of ["0", "1", "0.01", ".5", 0.25]) assert.equal(ratioOf(given), Number(given));
  for (const given of ["", "-1", "1.01", "2", "1e-2", "x", Number.NaN, null, "50%"]) {
    assert.match(
      problemsOf({ flags: { traceSampleRatio: given } }).join(),
      /--trace-sample-ratio: .* is no number from 0 to 1/,
    );
  }
});

test("a collector is an address and nothing that is secret", () => {
  const problemOf = (otlpUrl: string): string => problemsOf({ flags: { otlpUrl } }).join();
  for (const url of ["http://c:4318", "https://c/otlp/", "http://c:4318/v1/traces"]) {
    assert.equal(resolveConfiguration({ machine, flags: { otlpUrl: url } }).options.otlpUrl, url);
  }
  assert.match(problemOf("collector:4318"), /--otlp-url: OTLP goes over http/);
  assert.match(problemOf("not a url"), /--otlp-url: "not a url" is no URL/);
  assert.match(problemOf("http://me:secret@c"), /OTEL_EXPORTER_OTLP_HEADERS/);
  assert.match(problemOf("http://c/?key=secret"), /ends with its path/);
  const at = ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces/"].map(tracesUrlOf);
  assert.deepEqual(new Set(at), new Set(["http://c:4318/v1/traces"]));
});

test("a file without a version has its former names for good; one of today's version has none of them", () => {
  withFile('{"requestItemsMax": 5}', (file) => {
    const { options, warnings } = resolveConfiguration({ machine, file });
    assert.equal(options.requestInputsMax, 5);
    assert.deepEqual(warnings, [
      `requestItemsMax in ${file} is now requestInputsMax in ${file}; \`millrace config migrate ${file}\` writes the new name`,
    ]);
  });
  withFile('{"configVersion": 1, "requestItemsMax": 5, "configVersoin": 1}', (file) => {
    assert.deepEqual(problemsOf({ file }), [
      `requestItemsMax in ${file}: there is no such option (in version 1 it is \`requestInputsMax\`)`,
      `configVersoin in ${file}: there is no such option (did you mean \`configVersion\`?)`,
    ]);
  });
  for (const [former, key] of formerKeys) assert.equal(currentKeyOf(former, 0), key);
});

test("a file of a newer version is refused as that, and nothing else is said of it", () => {
  withFile('{"configVersion": 2, "nobodyKnows": 1}', (file) => {
    const [problem, ...others] = problemsOf({ file });
    assert.match(
      problem ?? "",
      /is 2, this Millrace reads 1 and older: serve it with the Millrace/,
    );
    assert.deepEqual(others, []);
  });
  for (const version of ['"1"', "1.5", "-1", "null", "[1]"]) {
    withFile(`{"configVersion": ${version}}`, (file) => {
      assert.match(problemsOf({ file })[0] ?? "", /is no version$/);
    });
  }
});
