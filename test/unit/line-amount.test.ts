/** What a line of a job is counted as for a key, held against what the tasks themselves read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { amountOfChunk, amountOfLine } from "#src/jobs/line-amount.js";
import { tasks } from "#src/tasks/table.js";
import { inputFields } from "#src/work/input-fields.js";

test("a line is counted as its route would read it, for each task and kind of input", () => {
  const texts = ["a", "bc", "d"];
  const bytes = Buffer.from("x").toString("base64");
  const bodies: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
    translate: [{ texts }, { tokenIds: [[1, 2], [3]] }],
    embed: [
      { texts },
      { texts: [["a", "b"], "c"] },
      { tokenIds: [[1], [2]] },
      { tokens: [["a"], ["b"]] },
    ],
    classify: [{ texts }, { images: [bytes, bytes] }],
    rerank: [{ query: "q", texts }, { texts: [["a", "b"]] }],
    infer: [{ inputs: { x: [1, 2, 3, 4] } }],
    ocr: [{ images: [bytes, bytes, bytes] }],
    tokenize: [{ texts }],
    detokenize: [{ tokenIds: [[1], [2, 3]] }],
  };
  assert.deepEqual([...tasks.keys()].sort(), Object.keys(bodies).sort(), "a new task has a row");
  for (const [name, task] of tasks) {
    assert.ok(task.tensors !== undefined || task.fields.some((each) => inputFields.includes(each)));
    for (const body of bodies[name] ?? []) {
      const { images, ...others } = body as { images?: string[] };
      const read =
        images === undefined ? others : { images: images.map((each) => Buffer.from(each)) };
      const { inputs } = task.read(read, { requestInputsMax: 100 });
      const line = JSON.stringify(body);
      assert.equal(amountOfLine(line).inputs, inputs.length, `${name}: ${line}`);
      const request = { custom_id: "1", method: "POST", url: `/v1/${name}`, body };
      assert.equal(amountOfLine(JSON.stringify(request)).inputs, inputs.length);
    }
  }
});

test("`input` of OpenAI's embeddings is a text, ids, or a list of either", () => {
  const counted = (input: unknown): readonly number[] => {
    const { inputs, characters } = amountOfLine(JSON.stringify({ body: { model: "m", input } }));
    return [inputs, characters];
  };
  assert.deepEqual(counted("abc"), [1, 3]);
  assert.deepEqual(counted(["abc", "d"]), [2, 4]);
  assert.deepEqual(counted([1, 2, 3]), [1, 0]);
  assert.deepEqual(counted([[1, 2], [3]]), [2, 0]);
});

test("each line is one input at least, whatever it is; a blank line is none", () => {
  const lines = [
    '"abc"',
    "{}",
    "[]",
    "nonsense",
    "null",
    '{"texts":[]}',
    '{"body":7}',
    "[".repeat(50),
  ];
  for (const line of lines) assert.equal(amountOfLine(line).inputs, 1, line);
  const bytes = Buffer.from(`${lines.join("\n")}\n\n \n`);
  assert.deepEqual(amountOfChunk({ bytes }), { inputs: lines.length, characters: 3 });
});

test("attack: a line that names inputs twice, or of two kinds, is counted as the most of them", () => {
  assert.equal(amountOfLine('{"texts":["a"],"texts":["a","b","c"]}').inputs, 3);
  assert.equal(amountOfLine('{"texts":["a"],"tokenIds":[[1],[2]]}').inputs, 2);
  assert.equal(amountOfLine('{"texts":["a","b","c"],"body":null}').inputs, 1, "no route takes it");
});
