import assert from "node:assert/strict";
import { test } from "node:test";
import { cutInputs, cuttableInputs } from "#src/tasks/cut-inputs.js";
import { tasks } from "#src/tasks/table.js";
import { inputFields } from "#src/work/input-fields.js";

const limits = { requestInputsMax: 100 };
const picture = new Uint8Array([1, 2, 3]);
const requests: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  translate: [
    { texts: ["a", "b", "c"], beams: 2 },
    { tokenIds: [[1], [2, 3], [4]], padded: true },
  ],
  embed: [
    { texts: ["a", ["b", "c"], "d"], normalize: true },
    { tokenIds: [[1], [2, 3], [4]] },
    { tokens: [["a"], ["b", "c"], ["d"]] },
  ],
  classify: [{ texts: ["a", "b", "c"], topK: 2 }, { images: [picture, picture, picture] }],
  rerank: [
    { query: "q", texts: ["a", "b", "c"] },
    {
      texts: [
        ["a", "b"],
        ["c", "d"],
        ["e", "f"],
      ],
    },
  ],
  ocr: [{ images: [picture, picture, picture] }],
  tokenize: [{ texts: ["a", "b", "c"] }],
  detokenize: [{ tokenIds: [[1], [2, 3], [4]] }],
  infer: [],
};

test("a request of every task that has inputs is cut into requests of some of them", () => {
  assert.deepEqual([...tasks.keys()].sort(), Object.keys(requests).sort());
  for (const [name, task] of tasks) {
    for (const fields of requests[name] ?? []) {
      assert.equal(cuttableInputs(task, fields), 3, name);
      const whole = task.read(fields, limits);
      const cut = task.read(cutInputs(task, fields, [0, 2]), limits);
      assert.deepEqual(cut.inputs, [whole.inputs[0], whole.inputs[2]], name);
      assert.deepEqual(cut.settings, whole.settings, name);
    }
  }
});

test("one text that stands for a list of one, tensors, and what the door refuses are not cut", () => {
  const translate = tasks.get("translate");
  const infer = tasks.get("infer");
  assert(translate !== undefined && infer !== undefined);
  assert.equal(cuttableInputs(translate, { texts: "abc" }), 0);
  assert.equal(cuttableInputs(translate, {}), 0);
  assert.equal(cuttableInputs(translate, { texts: ["a"], tokenIds: [[1]] }), 0);
  assert.equal(cuttableInputs(infer, { inputs: ["a", "b"] }), 0);
});

test("what lines of jobs are counted by are the fields of all tasks, and no others", () => {
  const all = [...tasks.values()].flatMap((task) => task.inputFields ?? []);
  assert.deepEqual([...new Set(all)].sort(), [...inputFields].sort());
});
