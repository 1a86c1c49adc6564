import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { forgetKey, keepKey, keptKey } from "./key.js";

interface LockedProps {
  readonly why: string;
  /** The key is known, and may not see this. */
  readonly isRefused: boolean;
  /** What is asked for: to look on, as operators do, or to have work done, as callers do. */
  readonly to: "look" | "ask";
  readonly onKey: () => void;
}

/** Why nothing is seen, and the field for a key. */
export function Locked({ why, isRefused, to, onKey }: LockedProps): JSX.Element {
  const id = useId();
  const [key, setKey] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    if (key === "") forgetKey();
    else keepKey(key);
    setKey("");
    onKey();
  };
  return (
    <section class="panel locked" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>
        {isRefused
          ? `This key may not ${to === "look" ? "look on" : "ask"}`
          : "The server asks for a key"}
      </h2>
      <p>
        {to === "look" ? (
          <>
            What the server does is shown to operators only: to keys that were made with{" "}
            <code>millrace keys add NAME --admin</code>.
          </>
        ) : (
          <>
            It works for callers with a key, which <code>millrace keys add NAME</code> makes.
          </>
        )}
        {keptKey() !== null && (
          <>
            {" "}
            It answered: <q>{why}</q>
          </>
        )}
      </p>
      <form onSubmit={submit}>
        <label for={id}>Key</label>
        <input
          id={id}
          type="password"
          autocomplete="off"
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <button type="submit">{to === "look" ? "Look" : "Use it"}</button>
      </form>
      <p class="note">It is kept in this tab until it is closed, and sent to this server only.</p>
    </section>
  );
}
