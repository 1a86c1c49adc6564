/** Whom jobs may tell of their end: hosts that an option names, to the letter, and a port where that is not the usual one. */

/** Null: the text is no list of hosts. */
export function callbackHostsOf(text: string | null): readonly string[] | null {
  if (text === null) return [];
  const hosts = text.split(",").map((host) => host.trim().toLowerCase());
  return hosts.every(isHost) ? hosts : null;
}

/** What a URL says of its host; `https` has another usual port, so a port that is written is kept by one of the two. */
function isHost(host: string): boolean {
  return ["http", "https"].some((scheme) => {
    const url = `${scheme}://${host}/`;
    return URL.canParse(url) && new URL(url).host === host;
  });
}

/** Whether the URL may be called: its host is one of them, to the letter, and nothing in it says who calls. */
export function mayCall(url: string, hosts: readonly string[]): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password, host } = new URL(url);
  const isPlain = username === "" && password === "";
  return /^https?:$/.test(protocol) && isPlain && hosts.includes(host.toLowerCase());
}
