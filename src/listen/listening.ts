/** Listening on a port of TCP, whatever is spoken there. */
import type { AddressInfo, Server } from "node:net";

/** Where it listens then. @throws the error of `listen`, for instance EADDRINUSE. */
export async function listenOn(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a server without a port");
  return address;
}

export function urlOf(scheme: string, { address, family, port }: AddressInfo): string {
  return `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
