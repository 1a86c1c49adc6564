/**
 * Certificate and key for every listener that speaks TLS. They may be replaced at any time: what is there a second later is used
 * for every handshake from then on, and what cannot be used changes nothing.
 */
import { X509Certificate } from "node:crypto";
import { open } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { MillraceError } from "millrace-client/wire";
import type { Log } from "../log.js";
import { messageOf } from "../work/thrown.js";
import { FileWatch, stampOf } from "./file-watch.js";

/** PEM, checked: the key is that of the certificate. */
export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface TlsPaths {
  readonly certPath: string;
  readonly keyPath: string;
}

/** What every listener asks of its callers. */
export const tlsVersionMin = "TLSv1.2";

/** Far over a chain of certificates. */
const pemBytesMax = 1024 * 1024;

export class TlsFiles implements Disposable {
  readonly #paths: TlsPaths;
  readonly #log: Log;
  readonly #watch: FileWatch;
  readonly #listeners = new Set<(pair: TlsPair) => void>();
  #current: TlsPair;

  /** @throws MillraceError `option_invalid` */
  static async open(paths: TlsPaths, log: Log): Promise<TlsFiles> {
    const seen = await stampOf([paths.certPath, paths.keyPath]);
    const pair = await readPair(paths);
    warnOfAge(pair, log);
    return new TlsFiles({ paths, log, pair, seen });
  }

  private constructor(parts: {
    readonly paths: TlsPaths;
    readonly log: Log;
    readonly pair: TlsPair;
    readonly seen: string;
  }) {
    const { paths, log, pair, seen } = parts;
    this.#paths = paths;
    this.#log = log;
    this.#current = pair;
    const watched = [paths.certPath, paths.keyPath];
    this.#watch = new FileWatch({ paths: watched, seen, onChange: () => this.#reload() });
  }

  get current(): TlsPair {
    return this.#current;
  }

  /** Called with each new pair from now on; gives what ends that. */
  onChange(listener: (pair: TlsPair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#listeners.clear();
  }

  async #reload(): Promise<void> {
    let pair: TlsPair;
    try {
      pair = await readPair(this.#paths);
    } catch (error) {
      const why = messageOf(error);
      this.#log.error(
        { why },
        "certificate and key have changed and are not used: the old ones stay",
      );
      return;
    }
    this.#current = pair;
    for (const listener of this.#listeners) listener(pair);
    const { subject, validTo } = new X509Certificate(pair.cert);
    this.#log.info({ subject, validTo }, "certificate read again");
    warnOfAge(pair, this.#log);
  }
}

async function readPair({ certPath, keyPath }: TlsPaths): Promise<TlsPair> {
  const cert = await readPem("--tls-cert", certPath);
  const key = await readPem("--tls-key", keyPath);
  check(`--tls-cert ${certPath}`, () => new X509Certificate(cert));
  check(`--tls-key ${keyPath} for ${certPath}`, () => createSecureContext({ cert, key }));
  return { cert, key };
}

async function readPem(flag: string, path: string): Promise<Buffer> {
  try {
    await using handle = await open(path, "r");
    const stats = await handle.stat();
    if (!stats.isFile()) throw new Error("it is no file");
    if (stats.size > pemBytesMax) throw new Error(`it has more than ${pemBytesMax} bytes`);
    return await handle.readFile();
  } catch (cause) {
    throw unusablePem(`${flag} ${path}`, cause);
  }
}

function check(what: string, use: () => unknown): void {
  try {
    use();
  } catch (cause) {
    throw unusablePem(what, cause);
  }
}

/** Callers will refuse it, and nobody here would learn why. */
function warnOfAge({ cert }: TlsPair, log: Log): void {
  const { validFrom, validTo, subject } = new X509Certificate(cert);
  const nowMs = Date.now();
  if (Date.parse(validTo) < nowMs) log.warn({ subject, validTo }, "the certificate has run out");
  if (Date.parse(validFrom) > nowMs)
    log.warn({ subject, validFrom }, "the certificate is not valid yet");
}

function unusablePem(what: string, cause: unknown): MillraceError {
  const why = messageOf(cause);
  return new MillraceError("option_invalid", `${what} cannot be used: ${why}`, { cause });
}
