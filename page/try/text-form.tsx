import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { FormProps } from "./form.js";

const examples: Readonly<Record<string, string>> = {
  translate: "Good morning.\nWhere is the station?",
  embed: "A cat sleeps on the sofa.\nA kitten naps on the couch.\nThe train is late.",
  classify: "I like it very much.",
  rerank: "Passports are renewed at the town hall.\nThe river is deep.",
};

/** Texts, and the query that they are ranked by. */
export function TextForm({ model: { task, name: model }, isBusy, onAsk }: FormProps): JSX.Element {
  const [text, setText] = useState(examples[task] ?? "");
  const [query, setQuery] = useState("How do I renew a passport?");
  const submit = (event: Event): void => {
    event.preventDefault();
    const texts = text.split("\n").filter((line) => line.trim() !== "");
    if (texts.length === 0) return;
    if (task === "rerank") onAsk({ task, model, query, texts });
    else if (task === "translate" || task === "embed" || task === "classify")
      onAsk({ task, model, texts });
  };
  return (
    <form onSubmit={submit}>
      {task === "rerank" && (
        <label class="field">
          Query
          <input
            dir="auto"
            value={query}
            onInput={(event) => setQuery(event.currentTarget.value)}
          />
        </label>
      )}
      <label class="field">
        Texts, one a line
        <textarea
          rows={4}
          dir="auto"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={isBusy}>
        {isBusy ? "Asking" : "Ask"}
      </button>
    </form>
  );
}
