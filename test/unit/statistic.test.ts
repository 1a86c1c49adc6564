/** What bert-as-service's SHOW_STATUS remembers of clients, who name themselves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Statistic } from "#src/front/bert-as-service/statistic.js";

test("attack: ten thousand identities and sizes are counted, and five hundred of them remembered", () => {
  let nowMs = 0;
  const statistic = new Statistic(() => nowMs);
  for (let client = 0; client < 10_000; client += 1) {
    nowMs += 1;
    statistic.encoded(`client ${client}`, client + 1);
  }
  statistic.asked("client 9999");
  const values = statistic.values();
  assert.equal(values["num_total_client"], 10_000);
  assert.equal(values["num_active_client"], 500, "those that asked last");
  assert.equal(values["num_data_request"], 10_000);
  assert.equal(values["num_sys_request"], 1);
  assert.equal(values["max_request_per_client"], 2);
  assert.equal(values["max_size_per_request"], 500, "of sizes the first five hundred");
});
