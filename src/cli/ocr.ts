/** `millrace ocr`: a picture, or those of a folder, in; the text on them out. */
import type { Command } from "commander";
import { MillraceError, type OcrResult } from "millrace-client";
import type { BulkWork, ResumableFlags } from "./bulk/file-run.js";
import { addBulkFlags, addRestartFlag } from "./bulk/flags.js";
import { runRemote } from "./remote.js";

const examples = `
Examples:
  $ millrace ocr scan.png | jq -r .lines[].text
  $ millrace ocr ./scans --out scans.jsonl     {"index", "file", "width", "height", "lines": [{"text", "score", "box"}, …]}

A run that was stopped or killed is gone on with by the same command: files that are done are not read again.
The server needs a model for it, which the bundled ones are not: see \`millrace convert --help\`.
`;

export function registerOcr(program: Command): void {
  const command = program
    .command("ocr")
    .summary("read the text on a picture, or on those of a folder")
    .description("Read the text on a picture, or on those of a folder.")
    .argument(
      "<path>",
      "a picture, or a folder with its folders: .jpg, .jpeg, .png, .webp, .gif, .tif, .tiff",
    )
    .option("--out <file>", ".jsonl, gone on with by a later run; else JSON lines on stdout")
    .addHelpText("after", examples);
  addRestartFlag(addBulkFlags(command)).action((path: string, flags: ResumableFlags) =>
    runRemote(async (signal) => {
      if (flags.out?.endsWith(".jsonl") === false) {
        throw new MillraceError("option_invalid", `--out: ${flags.out} must end in .jsonl`);
      }
      const { runFolder } = await import("./bulk/folder-run.js");
      return await runFolder(path, work, { flags, signal });
    }),
  );
}

const work: BulkWork<Uint8Array, OcrResult> = {
  command: "ocr",
  arguments: {},
  each: (client, pictures, options) => client.ocrEach(pictures, options),
  plain: (result) => result,
};
