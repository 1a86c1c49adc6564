/** `millrace inspect DIR`: what a folder is, for people or as JSON. */
import type { Command } from "commander";
import { exitCodes } from "./exit-codes.js";
import { printResult, printText } from "./print.js";

const examples = `
Examples:
  $ millrace inspect ./opus-mt-en-zh     of Hugging Face: whether convert reads it, and if not, why
  $ millrace inspect models/en-zh        Millrace's own: what it is, and whether its files are whole
  $ millrace inspect squeezenet.onnx     a graph: its inputs and outputs
  $ millrace inspect models/en-zh --json
`;

export function registerInspect(program: Command): void {
  program
    .command("inspect")
    .summary("say what a model folder is, and whether its files are whole")
    .description("Say what a model folder is: Millrace's own, or one of Hugging Face.")
    .argument("<dir>", "the model folder, or an ONNX file")
    .option("--json", "print JSON")
    .addHelpText("after", examples)
    .action(async (dir: string, options: { readonly json?: boolean }) => {
      const { inspectFolder, inspectionText } = await import("./inspect.js");
      const inspection = await inspectFolder(dir);
      if (options.json) printResult(`${JSON.stringify(inspection, null, 2)}\n`);
      else printText(`${inspectionText(inspection)}\n`);
      if (inspection.kind === "millrace" && inspection.damage !== null)
        process.exitCode = exitCodes.failed;
    });
}
