/** What is recorded, and the file that it becomes. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import type { RecordHead, RecordLine } from "millrace-client/wire";
import { type ArrivedRequest, Recorder } from "#src/record/recorder.js";
import { RecordingWriter, readRecording } from "#src/record/recording-file.js";
import type { PreparedInput } from "#src/work/piece.js";
import { recordedHead, recordedRequest, recordedRuns } from "../support/recordings.js";
import { TempDir } from "../support/temp-dir.js";

function inputOf(width: number, batchKey = ""): PreparedInput {
  const cost = { units: width, width, rows: 1, bytes: 10, batchKey };
  const payload = { values: { text: "secret words" }, tensors: {} };
  return { ok: true, note: null, pieces: [{ payload, cost, note: null }] };
}

function arrivedWith(inputs: readonly PreparedInput[], tenant = "the bank"): ArrivedRequest {
  const of = { model: "m", task: "translate", class: "realtime", isDeadlineNamed: false } as const;
  return { ...of, bytes: 20, tenant, arrivedAtMs: 5, queuedAtMs: 6, deadlineAtMs: 105, inputs };
}

function newRecorder(): Recorder {
  const { type: _, format: _f, version: _v, startedAtMs: _s, ...server } = recordedHead();
  return new Recorder({ describe: () => server, openRequests: () => 0, now: () => 0 });
}

async function linesOf(recorder: Recorder, act: () => void): Promise<readonly RecordLine[]> {
  using reader = recorder.read({ ms: 60_000 });
  act();
  recorder[Symbol.dispose]();
  let text = "";
  for (let more = await reader.next(); more !== null; more = await reader.next()) text += more;
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as RecordLine);
}

test("a request is sizes and times; texts, tenants and keys are not in it", async () => {
  const recorder = newRecorder();
  assert.equal(recorder.arrived(arrivedWith([inputOf(3)])), null, "nobody records");
  const lines = await linesOf(recorder, () => {
    const inputs = [inputOf(3), inputOf(7, "en>zh"), inputOf(3)];
    recorder.arrived(arrivedWith(inputs))?.ended(null);
    recorder.arrived(arrivedWith([inputOf(3)]));
  });
  const [head, request, end, other, closed] = lines;
  assert.equal(head?.type, "head");
  assert.ok(request?.type === "request" && other?.type === "request");
  assert.deepEqual([request.atMs, request.prepareMs, request.deadlineMs], [5, 1, 100]);
  assert.deepEqual(request.items[0], [3, 3, 1, 2]);
  assert.equal(request.items[1]?.length, 5);
  assert.equal(request.itemBytes, 30);
  assert.equal(request.tenant, other.tenant);
  assert.deepEqual(end, { type: "end", id: request.id, atMs: 0, code: null, failedInputs: 0 });
  assert.deepEqual(closed, { type: "closed", atMs: 0, why: "stopping" });
  assert.doesNotMatch(JSON.stringify(lines), /secret|bank|en>zh/);
});

test("of too many costs those that are alike become one, and none is lost", async () => {
  const recorder = newRecorder();
  const inputs = Array.from({ length: 1_000 }, (_, at) => inputOf(at + 1));
  const lines = await linesOf(recorder, () => recorder.arrived(arrivedWith(inputs)));
  const request = lines.find((line) => line.type === "request");
  assert.ok(request !== undefined && request.items.length <= 256);
  const count = request.items.reduce((sum, [, , , each]) => sum + each, 0);
  const units = request.items.reduce((sum, [each, , , times]) => sum + each * times, 0);
  assert.equal(count, 1_000);
  assert.ok(Math.abs(units / 500_500 - 1) < 0.01, String(units));
});

test("a reader that takes nothing loses lines, which are counted; and a fifth reader is refused", async () => {
  const recorder = newRecorder();
  const readers = [1, 2, 3].map(() => recorder.read({ ms: 1_000 }));
  const inputs = Array.from({ length: 256 }, (_, at) => inputOf(at + 1));
  const lines = await linesOf(recorder, () => {
    assert.throws(() => recorder.read({ ms: 1_000 }), { code: "queue_full" });
    for (let at = 0; at < 3_000; at += 1) recorder.arrived(arrivedWith(inputs));
  });
  const lost = lines.find((line) => line.type === "left-out");
  const kept = lines.filter((line) => line.type === "request").length;
  assert.ok(lost !== undefined && lost.lines > 0);
  assert.equal(kept + lost.lines, 3_000);
  for (const reader of readers) reader[Symbol.dispose]();
  assert.equal(recorder.isOn, false);
  assert.throws(() => recorder.read({ ms: 1 }), { code: "draining" });
});

test("a file is read as it was written; what is there already stays", async () => {
  await using dir = await TempDir.make();
  const file = dir.file("a.gz");
  const time = { type: "time", atMs: 1_000, openRequests: 0 } as const;
  const closed = { type: "closed", atMs: 1_001, why: "time" } as const;
  const writer = await RecordingWriter.create(file);
  for (const line of [recordedHead(), time, closed]) await writer.write(line);
  await writer.close();
  const read = await readRecording(file);
  assert.deepEqual(read, { head: recordedHead(), lines: [time, closed], isCut: false });
  assert.equal(writer.bytes, (await readFile(file)).length);
  await assert.rejects(RecordingWriter.create(file), { code: "output_exists" });
  await assert.rejects(RecordingWriter.create(dir.file("none/a.gz")), { code: "output_failed" });
});

test("defect: more requests than memory holds were read until the process died", async () => {
  await using dir = await TempDir.make();
  const file = dir.file("many.gz");
  const requests = [1, 2, 3].map((id) => recordedRequest({ id }));
  const lines = [recordedHead(), ...requests].map((line) => `${JSON.stringify(line)}\n`);
  await writeFile(file, gzipSync(lines.join("")));
  assert.equal((await readRecording(file, { linesMax: 3, partsMax: 100 })).lines.length, 3);
  const told = { code: "option_invalid", message: /more than 2 requests: record for a shorter/ };
  await assert.rejects(readRecording(file, { linesMax: 2, partsMax: 100 }), told);
});

test("defect: lines between requests, ends and refusals of a small file were read until the process died", async () => {
  await using dir = await TempDir.make();
  const file = dir.file("many.gz");
  const refused = async (line: object, what: RegExp): Promise<void> => {
    const lines = [recordedHead(), line, line, line].map((each) => `${JSON.stringify(each)}\n`);
    await writeFile(file, gzipSync(lines.join("")));
    assert.equal((await readRecording(file, { linesMax: 3, partsMax: 100 })).lines.length, 3);
    await assert.rejects(readRecording(file, { linesMax: 2, partsMax: 100 }), {
      code: "option_invalid",
      message: what,
    });
  };
  const between = /more than 2 lines between requests: record for a shorter time/;
  await refused({ type: "time", atMs: 1, openRequests: 0 }, between);
  await refused({ type: "down", atMs: 1, pipelineId: "p" }, between);
  await refused({ type: "left-out", atMs: 1, lines: 1 }, between);
  await refused({ type: "closed", atMs: 1, why: "time" }, between);
  await refused(recordedRuns(1), between);
  await refused({ type: "end", id: 1, atMs: 1, code: null, failedInputs: 0 }, /2 ends of requests/);
  const { model, class: workClass, bytes } = recordedRequest({ id: 1 });
  const ask = { atMs: 1, model, class: workClass, bytes, code: "queue_full" };
  await refused({ type: "refused", ...ask }, /more than 2 requests/);
  const request = recordedRequest({
    id: 1,
    items: [
      [1, 1, 1, 1],
      [2, 2, 1, 1],
    ],
  });
  await refused(request, /more than 2 requests/);
  const limits = { linesMax: 3, partsMax: 5 };
  await assert.rejects(readRecording(file, limits), { message: /more than 5 costs of requests/ });
});

test("cut, damaged, newer, empty and strange files", async () => {
  await using dir = await TempDir.make();
  const file = dir.file("a.gz");
  const timeAt = (atMs: number): RecordLine => ({ type: "time", atMs, openRequests: atMs });
  const lines: readonly RecordLine[] = [
    recordedHead(),
    ...Array.from({ length: 5_000 }, (_, at) => timeAt((at * 7_919) % 104_729)),
  ];
  const textOf = (all: readonly unknown[]): string =>
    all.map((line) => `${JSON.stringify(line)}\n`).join("");
  const whole = gzipSync(textOf(lines));
  await writeFile(file, whole.subarray(0, whole.length >> 1));
  const cut = await readRecording(file);
  assert.ok(cut.isCut && cut.lines.length > 100 && cut.lines.length < 5_000);
  const refused = async (bytes: Uint8Array, why: RegExp): Promise<void> => {
    await writeFile(file, bytes);
    await assert.rejects(readRecording(file), { code: "option_invalid", message: why });
  };
  const damaged = Buffer.from(whole);
  damaged.fill(0x55, whole.length >> 1, (whole.length >> 1) + 64);
  await refused(damaged, /damaged/);
  const newer: RecordHead = { ...recordedHead(), version: 2 };
  await refused(gzipSync(textOf([{ ...newer, models: "otherwise" }])), /version 2.*reads 1/);
  await refused(new Uint8Array(), /nothing of a recording/);
  await refused(gzipSync(""), /nothing of a recording/);
  await refused(gzipSync(textOf([timeAt(1)])), /does not begin/);
  await refused(gzipSync(textOf([recordedHead(), { type: "time", atMs: "x" }])), /line 2: /);
  await refused(gzipSync("hello\n"), /line 1 is no JSON/);
  await refused(Buffer.from(gunzipSync(whole)), /damaged/);
  await assert.rejects(readRecording(dir.file("none")), { message: /no such file/ });
});

test("attack: numbers that no server can have told are refused, each with its line and place", async () => {
  await using dir = await TempDir.make();
  const file = dir.file("a.gz");
  const head = recordedHead();
  const [pipeline] = head.pipelines;
  const runs = recordedRuns(500);
  const [stage] = runs.stages;
  const refused = async (line: object, where: RegExp): Promise<void> => {
    const lines = "format" in line ? [line] : [head, line];
    await writeFile(file, gzipSync(lines.map((each) => `${JSON.stringify(each)}\n`).join("")));
    await assert.rejects(readRecording(file), { code: "option_invalid", message: where });
  };
  await refused({ ...head, machine: { ...head.machine, cores: 0 } }, /line 1: machine\.cores/);
  await refused({ ...head, machine: { ...head.machine, threads: 0 } }, /line 1: machine\.threads/);
  await refused({ ...head, pipelines: [] }, /line 1: pipelines/);
  await refused(
    { ...head, pipelines: [{ ...pipeline, modelMemoryBytesMax: -1 }] },
    /line 1: pipelines\.0/,
  );
  const request = recordedRequest({ id: 1 });
  await refused({ ...request, atMs: 1e300 }, /line 2: atMs/);
  await refused({ ...request, atMs: -1e300 }, /line 2: atMs/);
  await refused({ ...request, prepareMs: 1e12 }, /line 2: prepareMs/);
  await refused({ ...request, items: [[0, 16, 1, 1]] }, /line 2: items/);
  await refused({ ...request, items: [[16, 16, 1e300, 1]] }, /line 2: items/);
  await refused({ ...request, items: [[16, 16, 1, 0]] }, /line 2: items/);
  await refused({ ...runs, busyMs: 1e14 }, /line 2: busyMs/);
  await refused({ ...runs, stages: [{ ...stage, ms: -1 }] }, /line 2: stages/);
  await refused({ ...runs, stages: [{ ...stage, units: 1e300 }] }, /line 2: stages/);
});
