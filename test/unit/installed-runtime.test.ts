import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { whatToDo } from "#src/cli/what-to-do.js";
import { checkRuntime, missingRuntime } from "#src/runtime/installed-runtime.js";

const absent = new Error("Cannot find module 'onnxruntime-node'\nRequire stack: …");

test("defect: where npm left the runtime out, it is said with what to type", () => {
  const resolve = (): string => {
    throw absent;
  };
  assert.throws(
    () => checkRuntime(resolve),
    (error) => {
      assert.ok(error instanceof MillraceError);
      assert.equal(error.code, "not_ready");
      for (const typed of ["npm install --ignore-scripts millrace", "npx --ignore-scripts"])
        assert.ok(error.message.includes(typed), error.message);
      assert.match(error.message, /onnxruntime-node@\d+\.\d+\.\d+`/);
      assert.match(whatToDo(error), /firewall/);
      return true;
    },
  );
  checkRuntime();
});

test("of what is thrown as a command loads it, that alone is taken for its absence", () => {
  const asModule = new Error("Cannot find package 'onnxruntime-node' imported from /a/b.js");
  for (const error of [absent, asModule]) assert.equal(missingRuntime(error)?.code, "not_ready");
  const other = new Error("Cannot find module './convert/onnxruntime-node-x.js'");
  for (const error of [other, undefined, new Error("onnxruntime-node failed")])
    assert.equal(missingRuntime(error), null);
});
