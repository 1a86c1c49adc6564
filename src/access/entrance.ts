/** What all listeners need before they listen: whom they let in, with which certificate, at which address. */
import type { Log } from "../log.js";
import { isLoopback } from "../options/loopback.js";
import type { Options } from "../options/options.js";
import { type Access, openAccess } from "./access.js";
import { bindAddress } from "./bind.js";
import { openKeyedAccess } from "./keyed-access.js";
import { TlsFiles } from "./tls-files.js";

export interface Entrance {
  readonly access: Access;
  /** Null: nobody speaks TLS. */
  readonly tls: TlsFiles | null;
  /** Of the main port; an address, looked up. */
  readonly host: string;
  /** Null: there is none of its own. */
  readonly admin: AdminEntrance | null;
  close(): Promise<void>;
}

export interface AdminEntrance {
  readonly host: string;
  readonly port: number;
  /** On loopback whoever is on this machine may come in; elsewhere it is as at the main port. */
  readonly access: Access;
  readonly tls: TlsFiles | null;
}

/** @throws MillraceError `option_invalid`, `key_file_invalid`; the error of a lookup */
export async function openEntrance(options: Options, log: Log): Promise<Entrance> {
  const mayBeOpen = options.keys !== null || options.insecure;
  const host = await bindAddress({ flag: "--host", host: options.host, mayBeOpen });
  const access = await openAccessOf(options, log);
  let tls: TlsFiles | null = null;
  try {
    const { tlsCert: certPath, tlsKey: keyPath, adminPort: port, adminHost } = options;
    if (certPath !== null && keyPath !== null)
      tls = await TlsFiles.open({ certPath, keyPath }, log);
    let admin: AdminEntrance | null = null;
    if (port !== null) {
      const rule = { flag: "--admin-host", host: adminHost, mayBeOpen };
      const address = await bindAddress(rule);
      const outside = isLoopback(address) ? { access: openAccess, tls: null } : { access, tls };
      admin = { host: address, port, ...outside };
    }
    const files = tls;
    return {
      access,
      tls: files,
      host,
      admin,
      close: async () => {
        files?.[Symbol.dispose]();
        await access.close();
      },
    };
  } catch (error) {
    tls?.[Symbol.dispose]();
    await access.close();
    throw error;
  }
}

async function openAccessOf({ keys, keysUsage }: Options, log: Log): Promise<Access> {
  if (keys === null) return openAccess;
  return await openKeyedAccess({ path: keys, usagePath: keysUsage, log });
}
