/** The server's CURVE keys: in a file as CZMQ and pyzmq write them, so that their tools can read it. */
import { open, readFile } from "node:fs/promises";
import { MillraceError } from "millrace-client/wire";
import { hasCode, messageOf } from "../../work/thrown.js";

export interface CurveKeys {
  readonly publicKey: string;
  readonly secretKey: string;
}

/** A file of two keys and some comments. */
const fileBytesMax = 64 * 1024;

/**
 * Makes the file where there is none: readable by its owner only.
 *
 * @throws MillraceError `option_invalid`
 */
export async function readCurveKeys(path: string, make: () => CurveKeys): Promise<CurveKeys> {
  try {
    const text = await readFile(path, "utf8");
    return keysOf(text.slice(0, fileBytesMax), path);
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    if (!isMissing(error)) throw unusable(path, error);
  }
  const keys = make();
  try {
    await using file = await open(path, "wx", 0o600);
    await file.writeFile(textOf(keys));
  } catch (error) {
    throw unusable(path, error);
  }
  return keys;
}

function keysOf(text: string, path: string): CurveKeys {
  const keyOf = (name: string): string => {
    const [, key] = new RegExp(`^\\s*${name}\\s*=\\s*"([^"\\n]{40})"\\s*$`, "m").exec(text) ?? [];
    if (key !== undefined) return key;
    const message = `--zmq-curve-secret-key-file: ${path} has no line ${name} = "…" of 40 characters; remove it, and a new one is made`;
    throw new MillraceError("option_invalid", message);
  };
  return { publicKey: keyOf("public-key"), secretKey: keyOf("secret-key") };
}

function textOf({ publicKey, secretKey }: CurveKeys): string {
  const lines = [
    "#   ZeroMQ CURVE keys of a Millrace server. Clients need the public one; the secret one stays here.",
    "metadata",
    "curve",
    `    public-key = "${publicKey}"`,
    `    secret-key = "${secretKey}"`,
  ];
  return `${lines.join("\n")}\n`;
}

function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT");
}

function unusable(path: string, cause: unknown): MillraceError {
  const why = messageOf(cause);
  const message = `--zmq-curve-secret-key-file: ${path} cannot be used: ${why}`;
  return new MillraceError("option_invalid", message, { cause });
}
