/** Which addresses only this machine can reach. */
import { BlockList, isIP } from "node:net";

/** Of an address that is none of these. */
export const openWithoutKeys =
  "others than this machine can reach it, and nobody is asked for a key; give --keys FILE (`millrace keys add NAME --keys FILE` makes one), an address such as 127.0.0.1, or --insecure where something in front of it decides who may come in";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Of an address, in any of its forms. A name is none: what it stands for has to be looked up. */
export function isLoopback(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 4 ? "ipv4" : "ipv6");
}

/** Of an option: an address that others reach is known to be one; a name may be. */
export function isOpenAddress(host: string): boolean {
  return isIP(host) !== 0 && !isLoopback(host);
}
