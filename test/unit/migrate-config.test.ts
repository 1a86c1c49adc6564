/** A configuration file of an older version becomes one of today: it means the same, and whatever else stands in it stays. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { MillraceError } from "millrace-client/wire";
import { configurationText } from "#src/cli/init.js";
import { configVersion } from "#src/options/config-file.js";
import { migrateConfig } from "#src/options/migrate-config.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { millrace } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

const migrated = (text: string): string => migrateConfig("f", text).text;

const forms: readonly (readonly [what: string, before: string, after: string])[] = [
  ["nothing", "{}", '{"configVersion": 1}'],
  ["one line", '{"port": 1}', '{"configVersion": 1, "port": 1}'],
  ["lines", '{\n    "port": 1\n}\n', '{\n    "configVersion": 1,\n    "port": 1\n}\n'],
  [
    "a former name",
    '{\n  "batchPipelines": 2, // "batchPipelines": 3\n  "realtimePipelines": 1\n}',
    '{\n  "configVersion": 1,\n  "bulkPipelines": 2, // "batchPipelines": 3\n  "realtimePipelines": 1\n}',
  ],
  [
    "a former name that is a value, and one in a section",
    '{"name": "batchPipelines", "bert": {"batchPipelines": "}"}, "requestItemsMax": 5}',
    '{"configVersion": 1, "name": "batchPipelines", "bert": {"batchPipelines": "}"}, "requestInputsMax": 5}',
  ],
  [
    "comments first, and every option a comment",
    '// {\n{ // the edge\n  // "port": 1,\n}',
    '// {\n{"configVersion": 1, // the edge\n  // "port": 1,\n}',
  ],
  [
    "a version that says 0",
    '{"port": 1, "configVersion" /* of old */ : 0}',
    '{"port": 1, "configVersion" /* of old */ : 1}',
  ],
  [
    "defect: a zero that is written otherwise was an internal error",
    '{"configVersion": -0}',
    '{"configVersion": 1}',
  ],
  ["the same with an exponent", '{"configVersion":0.0e+5 }', '{"configVersion":1 }'],
];

for (const [what, before, after] of forms) {
  test(`migrated: ${what}`, () => {
    const { text, version, changes } = migrateConfig("f", before);
    assert.equal(text, after);
    assert.equal(version, 0);
    assert.equal(changes[0], "configVersion is 1");
    assert.equal(migrated(text), text, "once is enough");
  });
}

test("defect: values nested without an end were a bug's stack, where options are read and where they are migrated", () => {
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  for (const key of ["port", "configVersion", "x"]) {
    const told = { code: "option_invalid", message: /nested more than 32 deep/ };
    assert.throws(() => migrated(`{"${key}": ${deep}}`), told);
  }
});

test("numbers that no option takes, keys of every object, and a key twice are told or read, and no bug", () => {
  const versions = ["1e400", "-1e400", "99999999999999999999", "-1", "1.5", '"1"', "null", "[]"];
  for (const version of versions)
    assert.throws(() => migrated(`{"configVersion": ${version}}`), { code: "option_invalid" });
  assert.equal(migrated('{"__proto__": {"a": 1}}'), '{"configVersion": 1, "__proto__": {"a": 1}}');
  assert.equal(migrated('{"constructor": 1}'), '{"configVersion": 1, "constructor": 1}');
  const twice = '{"batchPipelines": 1, "batchPipelines": 2}';
  assert.match(migrated(twice), /"bulkPipelines": 1, "bulkPipelines": 2/);
});

test("whatever stands in a file, migrated it has the same keys and values", () => {
  const renamed: Readonly<Record<string, string>> = Object.assign(Object.create(null), {
    batchPipelines: "bulkPipelines",
    requestItemsMax: "requestInputsMax",
  });
  const key = fc.oneof(fc.constantFrom("batchPipelines", "requestItemsMax", "port"), fc.string());
  const file = fc.dictionary(key, fc.jsonValue(), { noNullPrototype: true });
  fc.assert(
    fc.property(file, fc.constantFrom(undefined, 2, "\t"), (values, space) => {
      fc.pre(!("configVersion" in values));
      const meant = Object.fromEntries(
        Object.entries(values).map(([name, value]) => [renamed[name] ?? name, value]),
      );
      const text = JSON.stringify(values, null, space);
      assert.deepEqual(
        JSON.parse(migrated(text)),
        JSON.parse(JSON.stringify({ configVersion, ...meant })),
      );
    }),
    { numRuns: 300 },
  );
});

test("what is no configuration, is newer, or has an option twice is refused", () => {
  for (const [text, says] of [
    ["[1]", /one JSON object/],
    ["{", /JSON/],
    ['{"configVersion": 2}', /this Millrace reads 1 and older/],
    ['{"requestItemsMax": 5, "requestInputsMax": 6}', /contradict each other/],
  ] as const) {
    assert.throws(
      () => migrateConfig("f", text),
      (error) =>
        error instanceof MillraceError &&
        error.code === "option_invalid" &&
        says.test(error.message),
    );
  }
});

test("millrace config migrate: the file is replaced through a link, its mode stays, what it was is beside it", async () => {
  await using dir = await TempDir.make();
  const [file, link] = [dir.file("real.json"), dir.file("link.json")];
  const old = '{\n  // shop\n  "requestItemsMax": 5\n}\n';
  writeFileSync(file, old);
  chmodSync(file, 0o640);
  symlinkSync(file, link);
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [millrace, "config", "migrate", ...args], { encoding: "utf8" });

  const shown = run(link, "--print");
  const wanted = '{\n  "configVersion": 1,\n  // shop\n  "requestInputsMax": 5\n}\n';
  assert.deepEqual([shown.stdout, shown.status], [wanted, 0]);
  assert.equal(readFileSync(file, "utf8"), old);

  const done = run(link);
  assert.deepEqual([done.stdout, done.status], [`${link}\n`, 0]);
  assert.match(
    done.stderr,
    /^ {2}configVersion is 1\n {2}requestItemsMax is now requestInputsMax\n/,
  );
  assert.equal(readFileSync(file, "utf8"), wanted);
  assert.equal(readFileSync(`${file}.v0`, "utf8"), old);
  assert.equal(statSync(file).mode & 0o777, 0o640);
  const { options, warnings } = resolveConfiguration({ file: link });
  assert.deepEqual([options.requestInputsMax, warnings], [5, []]);

  assert.match(run(link).stderr, /nothing to change/);
  writeFileSync(file, old);
  const twice = run(link);
  assert.match(twice.stderr, /^output_exists: .*\.v0 is there already\n/);
  assert.equal(twice.status, 1);
  assert.equal(readFileSync(file, "utf8"), old);
  assert.deepEqual(readdirSync(dir.path).toSorted(), ["link.json", "real.json", "real.json.v0"]);
  assert.equal(run(dir.file("none.json")).status, 2);
});

test("what init writes is of today's version", () => {
  const text = configurationText();
  assert.equal(migrated(text), text);
});

test("attack: a file that is no UTF-8 is refused before anything of it is lost; the mark of an editor is none of its text", async () => {
  await using dir = await TempDir.make();
  const latin = Buffer.from('{\n  // größe\n  "batchPipelines": 1,\n  "name": "grün"\n}', "latin1");
  const path = dir.file("latin.json");
  writeFileSync(path, latin);
  const ran = spawnSync(process.execPath, [millrace, "config", "migrate", path]);
  assert.equal(ran.status, 2);
  assert.match(ran.stderr.toString(), /option_invalid: .*latin\.json: it is no UTF-8/);
  assert.deepEqual(readFileSync(path), latin);
  assert.throws(() => resolveConfiguration({ file: path }), /it is no UTF-8/);
  const marked = dir.file("marked.json");
  writeFileSync(marked, '\ufeff{"bulkPipelines": 1, "realtimePipelines": 1, "configVersion": 1}');
  assert.equal(resolveConfiguration({ file: marked }).options.bulkPipelines, 1);
});
