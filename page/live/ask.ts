/** One way to ask the server, whatever path prefix the page stands behind. */
import type { ErrorResponse } from "millrace-client/wire";
import { keyHeaders } from "./key.js";

/** The server, or what stands before it, said no. */
export class Refusal extends Error {
  readonly status: number;
  /** As in `docs/errors.md`; null where the reply is none of Millrace's. */
  readonly code: string | null;

  constructor(status: number, code: string | null, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  get asksForKey(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

interface Ask {
  /** Sent by POST: a form as it is, anything else as JSON. */
  readonly body?: object;
  readonly signal: AbortSignal;
}

/** `path` without a slash before it. @throws Refusal; what `fetch` throws where nobody answers */
export async function ask(path: string, { body, signal }: Ask): Promise<Response> {
  // The type of a form, with its boundary, the browser says.
  const isJson = body !== undefined && !(body instanceof FormData);
  const response = await fetch(path, {
    headers: { ...keyHeaders(), ...(isJson && { "content-type": "application/json" }) },
    ...(body !== undefined && { method: "POST", body: isJson ? JSON.stringify(body) : body }),
    signal,
    cache: "no-store",
    credentials: "same-origin",
  });
  if (response.ok) return response;
  throw await refusalOf(response);
}

/** What the body is, its asker knows. */
export async function askJson<Body>(path: string, asked: Ask): Promise<Body> {
  return (await (await ask(path, asked)).json()) as Body;
}

async function refusalOf(response: Response): Promise<Refusal> {
  const { status, statusText } = response;
  const body = (await response.json().catch(() => null)) as Partial<ErrorResponse> | null;
  const error = body?.error;
  if (typeof error?.message !== "string")
    return new Refusal(status, null, `${status} ${statusText}`);
  return new Refusal(status, error.code, error.message);
}
