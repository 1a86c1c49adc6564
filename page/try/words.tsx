/** What an outcome says, and why there is none. */
import type { JSX } from "preact";

export type Failed = { readonly error: { readonly code: string; readonly message: string } };

/** In the direction of its own script. */
export function Words({ of }: { readonly of: string | undefined }): JSX.Element {
  return (
    <span class="words" dir="auto">
      {of}
    </span>
  );
}

export function Failure({ error }: Failed): JSX.Element {
  return <span class="reason">{`${error.code}: ${error.message}`}</span>;
}
