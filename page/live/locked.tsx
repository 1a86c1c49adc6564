import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { forgetKey, isKey, keepKey, keptKey } from "./key.js";

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
  const [typed, setTyped] = useState("");
  const [isNone, setNone] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    const key = typed.trim();
    setNone(key !== "" && !isKey(key));
    if (key === "") forgetKey();
    else if (isKey(key)) keepKey(key);
    else return;
    setTyped("");
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
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
        <button type="submit">{to === "look" ? "Look" : "Use it"}</button>
      </form>
      {isNone && (
        <p class="reason" role="alert">
          That is no key: a key has letters without accents, digits and dashes only.
        </p>
      )}
      <p class="note">It is kept in this tab until it is closed, and sent to this server only.</p>
    </section>
  );
}
