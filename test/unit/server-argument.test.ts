/** Commands that take the server as an argument as well as by a flag, and what their help says of defaults. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command, Option } from "commander";
import { programOf } from "../support/command-lines.js";

const takeServer = [["record", "--out", "never.gz"], ["profile"], ["doctor"]] as const;

for (const [command, ...flags] of takeServer) {
  test(`defect: millrace ${command} is told one server, by its argument or by --url`, async () => {
    const args = [command, "http://a.invalid", "--url", "http://b.invalid", ...flags];
    await assert.rejects(programOf().parseAsync(args, { from: "user" }), {
      code: "option_invalid",
      message: "http://a.invalid and --url: name one of them",
    });
  });
}

/** Each command that has no commands of its own, by its words. */
function leavesOf(command: Command, words: readonly string[] = []): (readonly string[])[] {
  if (command.commands.length === 0) return [words];
  return command.commands.flatMap((each) => leavesOf(each, [...words, each.name()]));
}

test("defect: a flag that there is not was hidden behind one that is missing, in any command", async () => {
  for (const words of leavesOf(programOf())) {
    if (words[0] === "help") continue;
    await assert.rejects(programOf().parseAsync([...words, "--nonsense"], { from: "user" }), {
      code: "commander.unknownOption",
      message: /--nonsense/,
    });
  }
  await assert.rejects(programOf().parseAsync(["record"], { from: "user" }), {
    code: "commander.missingMandatoryOptionValue",
  });
});

test("defect: help tells a default in the unit that its flag takes, and not as it is kept", () => {
  const optionsOf = (command: Command): readonly Option[] => [
    ...command.options,
    ...command.commands.flatMap(optionsOf),
  ];
  const withUnit = optionsOf(programOf()).filter(
    ({ flags, defaultValue }) => /<(time|MiB)>/.test(flags) && defaultValue !== undefined,
  );
  assert.deepEqual(new Set(withUnit.map(({ long }) => long)), new Set(["--for", "--size-max"]));
  for (const { long, defaultValueDescription } of withUnit)
    assert.notEqual(defaultValueDescription, undefined, long);
});
