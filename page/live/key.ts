/** The key of whoever looks on, where the server asks for one: kept until the browser's tab is closed, and sent to this server only. */

const name = "millrace-key";

/** A header carries no other letters: the browser would refuse to ask, each time, as if nobody answered. */
export function isKey(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

export function keptKey(): string | null {
  return sessionStorage.getItem(name);
}

export function keepKey(key: string): void {
  sessionStorage.setItem(name, key);
}

export function forgetKey(): void {
  sessionStorage.removeItem(name);
}

export function keyHeaders(): Record<string, string> {
  const key = keptKey();
  return key === null ? {} : { authorization: `Bearer ${key}` };
}
