/** A session whose runs make what comes out: each type of tensor, and texts, to the byte. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { Session } from "#src/runtime/session.js";
import { tensorArrays } from "#src/work/payload.js";
import { type TensorValue, tensorTypes, textsOf, textTensor } from "#src/work/tensors.js";
import { identityGraph } from "../support/onnx-graph.js";
import { memoryBytesOf } from "../support/processes.js";
import { everyType, lookUp, types } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";

const options = { threads: 1, spin: false };

async function withGraph(
  graph: Uint8Array,
  use: (session: Session) => Promise<void>,
): Promise<void> {
  await using dir = await TempDir.make();
  await writeFile(dir.file("graph.onnx"), graph);
  const session = await Session.open(dir.file("graph.onnx"), options);
  try {
    await use(session);
  } finally {
    session.release();
  }
}

test("defect: a text with a NUL inside is not cut there, nor what stands beside it", async () => {
  await withGraph(identityGraph("BYTES", ["n"]), async (session) => {
    for (const texts of [["a", "", "b\0é😀", "\0", "c"], [], ["", ""]]) {
      const named = { name: "x", shape: [texts.length] };
      const { y } = await session.run({ x: textTensor(texts, named) });
      assert.ok(y !== undefined);
      assert.deepEqual(y.shape, [texts.length]);
      assert.deepEqual(textsOf({ ...named, ...y }), texts);
    }
  });
});

test("every type goes in and comes out as its bits, empty ones and those of one number included", async () => {
  await withGraph(everyType, async (session) => {
    assert.deepEqual(
      session.inputs.map(({ datatype }) => datatype),
      types,
    );
    for (const rows of [0, 1, 9]) {
      const feeds = types.map((datatype): [string, TensorValue] => {
        const shape = [rows, 2];
        if (datatype === "BYTES") {
          const texts = Array.from({ length: 2 * rows }, (_, at) => `text ${at}`);
          return ["in BYTES", textTensor(texts, { name: "", shape })];
        }
        const data = new tensorArrays[tensorTypes[datatype]](2 * rows);
        new Uint8Array(data.buffer).fill(datatype === "BOOL" ? 1 : 77);
        return [`in ${datatype}`, { datatype, shape, data }];
      });
      const fetches = await session.run(Object.fromEntries(feeds));
      for (const [name, { datatype, shape, data }] of feeds) {
        const out = fetches[name.replace("in ", "out ")];
        assert.deepEqual([out?.datatype, out?.shape, out?.data], [datatype, shape, data], name);
      }
    }
  });
});

test("a run that throws gives back what it was fed, and the session lives on", async () => {
  await withGraph(lookUp, async (session) => {
    const at = (...places: readonly bigint[]): TensorValue => {
      return { datatype: "INT64", shape: [places.length], data: BigInt64Array.from(places) };
    };
    await assert.rejects(session.run({ at: at(7n) }), /idx=7/);
    await assert.rejects(session.run({ to: at(1n) }), /the graph has no to/);
    await assert.rejects(session.run({}), /Missing Input: at/);
    await assert.rejects(session.run({ at: at(1n) }, ["lost"]), /the graph has no lost/);
    const asFloats = { datatype: "FP32", shape: [1], data: new Float32Array(1) } as const;
    await assert.rejects(session.run({ at: asFloats }), /tensor\(float\).*tensor\(int64\)/);
    assert.deepEqual((await session.run({ at: at(3n) }))["found"]?.data, Float32Array.of(9));
    const late = session.run({ at: at(3n) });
    session.release();
    await assert.rejects(late, /the session was released/);
  });
});

test("a thousand texts a run, and runs that throw, keep no memory", async () => {
  await withGraph(identityGraph("BYTES", ["n"]), async (session) => {
    const texts = Array.from({ length: 1_000 }, (_, at) => `${at} `.repeat(200));
    const x = textTensor(texts, { name: "x", shape: [1_000] });
    const short = { ...x, shape: [999] };
    const runs = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at += 1) {
        await session.run({ x });
        await assert.rejects(session.run({ x: short }));
      }
    };
    await runs(20);
    const before = memoryBytesOf(process.pid, "VmRSS");
    await runs(200);
    const grown = memoryBytesOf(process.pid, "VmRSS") - before;
    // Kept, they would be 300 MiB.
    assert.ok(grown < 2 ** 26, `${grown} bytes more`);
  });
});
