/** The reader that holds queries to what is served must itself see what is wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { namesIn, samplesIn } from "../support/promql.js";

test("names of metrics and labels, by where they stand", () => {
  const query = `sum by (model, class) (rate(a_total{x="b{c}",y!~"d"}[5m])) / on (z) group_left avg(e) > bool 0.5
    unless histogram_quantile(0.9, f_bucket offset 5m) # g
    or h{}`;
  const { metrics, selectors, grouped } = namesIn(query);
  assert.deepEqual([...metrics], ["a_total", "e", "f_bucket", "h"]);
  assert.deepEqual(selectors, [
    { metric: "a_total", label: "x" },
    { metric: "a_total", label: "y" },
  ]);
  assert.deepEqual([...grouped].sort(), ["class", "model", "z"]);
  assert.throws(() => namesIn("a $ b"));
  assert.throws(() => namesIn('{x="1"}'));
});

test("samples of a page, with their labels", () => {
  const page =
    '# HELP a b\n# TYPE a counter\na{x="1",y="z=\\"q\\""} 1\na{w="2"} 2\nb 3\nc_bucket{le="+Inf"} 4\n';
  const samples = samplesIn(page);
  assert.deepEqual([...(samples.get("a") ?? [])].sort(), ["w", "x", "y"]);
  assert.deepEqual([...samples.keys()], ["a", "b", "c_bucket"]);
});
