/**
 * All that the command says, results on standard output and the rest on standard error; test/house/printing.test.ts sees to it that
 * nobody writes there by another way. What others have named (a server its models, a caller its tenant, a hub its files) is text
 * here, whatever is in it.
 */
import { linesWithoutControls } from "./without-controls.js";

/** One line of JSON with `--json`, else what the value looks like to people. */
export function print<Value>(
  { json }: { readonly json?: boolean | undefined },
  value: Value,
  view: (value: Value) => string,
): void {
  if (json === true) printJson(value);
  else printText(view(value));
}

export function printText(text: string): void {
  process.stdout.write(linesWithoutControls(text));
}

/** False: whoever reads is slow, wait for `drain`. JSON leaves the controls beyond ASCII as they are, which terminals obey too. */
export function printJson(value: unknown): boolean {
  const escaped = (control: string): string =>
    `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return process.stdout.write(`${JSON.stringify(value).replace(/\p{Cc}/gu, escaped)}\n`);
}

/** What the work has brought, to the byte, but where it would reach a terminal. False: wait for `drain`. */
export function printResult(text: string): boolean {
  return process.stdout.write(process.stdout.isTTY ? linesWithoutControls(text) : text);
}

/** With colours or movements of the command's own: what others have named in it was cleaned before. */
export function printDrawn(text: string): void {
  process.stdout.write(text);
}

export function tell(text: string): void {
  process.stderr.write(linesWithoutControls(text));
}

/** As `printDrawn`, beside the results. */
export function draw(text: string): void {
  process.stderr.write(text);
}
