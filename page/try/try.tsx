/**
 * READ FIRST of this folder. Asking the server for something, as a caller would.
 *
 *   form ─► asking ─► the server ─► results, and where the time of that request went
 *              └─► quoting: the same in the words of curl, the client and the command
 */
import type { ModelInfo, ModelsResponse } from "millrace-client/wire";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, askJson, Refusal } from "../live/ask.js";
import { keptKey } from "../live/key.js";
import { Locked } from "../live/locked.js";
import { Panel } from "../parts/panel.js";
import { messageOf } from "../thrown.js";
import { type Asking, bodyOf, snippetsOf } from "./asking.js";
import { Form } from "./form.js";
import { type Answer, Results } from "./results.js";
import { Waterfall } from "./waterfall.js";

const modelsMax = 200;

interface TryProps {
  readonly isShown: boolean;
  /** Somebody gave a key, or took it back. */
  readonly onKey: () => void;
}

export function Try({ isShown, onKey }: TryProps): JSX.Element {
  const [models, setModels] = useState<readonly ModelInfo[] | Error | null>(null);
  const [looks, setLooks] = useState(0);
  useEffect(() => {
    if (!isShown) return;
    const gone = new AbortController();
    askJson<ModelsResponse>("v1/models", { signal: gone.signal }).then(
      (reply) => setModels(reply.models),
      (error: unknown) => {
        if (!gone.signal.aborted)
          setModels(error instanceof Error ? error : new Error(String(error)));
      },
    );
    return () => gone.abort();
  }, [isShown, looks]);
  if (models === null) return <p class="empty">The models are asked for.</p>;
  if (models instanceof Refusal && models.asksForKey)
    return (
      <Locked
        why={models.message}
        isRefused={models.status === 403}
        to="ask"
        onKey={() => {
          setLooks(looks + 1);
          onKey();
        }}
      />
    );
  if (models instanceof Error)
    return (
      <Panel title="Try">
        <p class="empty">
          Nothing can be tried here: {models.message} Where operators have a port of their own
          (--admin-port), work is taken at the other one.
        </p>
      </Panel>
    );
  return (
    <Models models={models.slice(0, modelsMax)} hidden={Math.max(0, models.length - modelsMax)} />
  );
}

function Models({
  models,
  hidden,
}: {
  readonly models: readonly ModelInfo[];
  readonly hidden: number;
}): JSX.Element {
  const [name, setName] = useState("");
  const model = models.find((each) => each.name === name) ?? models[0];
  if (model === undefined) return <p class="empty">No model is served.</p>;
  return (
    <div class="try">
      <Panel title="Try" note={`${model.task} · ${model.family} · ${model.precision}`}>
        <label class="field">
          Model
          <select value={model.name} onChange={(event) => setName(event.currentTarget.value)}>
            {models.map((each) => (
              <option key={each.name} value={each.name}>
                {each.name} – {each.task}
              </option>
            ))}
          </select>
        </label>
        {hidden > 0 && <p class="more">and {hidden} more</p>}
        {model.reason !== null && <p class="reason">{model.reason}</p>}
        <Asked key={model.name} model={model} />
      </Panel>
    </div>
  );
}

type State =
  | { readonly is: "idle" | "asking" }
  | { readonly is: "answered"; readonly answer: Answer }
  | { readonly is: "failed"; readonly error: unknown };

function Asked({ model }: { readonly model: ModelInfo }): JSX.Element {
  const [asking, setAsking] = useState<Asking | null>(null);
  const [state, setState] = useState<State>({ is: "idle" });
  const send = async (asked: Asking): Promise<void> => {
    setAsking(asked);
    setState({ is: "asking" });
    const startedMs = performance.now();
    try {
      const signal = AbortSignal.timeout(120_000);
      const reply = await ask(`v1/${asked.task}`, { body: bodyOf(asked), signal });
      const text = await reply.text();
      const tookMs = performance.now() - startedMs;
      setState({ is: "answered", answer: { asked, reply: JSON.parse(text), tookMs } });
    } catch (error) {
      setState({ is: "failed", error });
    }
  };
  return (
    <>
      <Form model={model} isBusy={state.is === "asking"} onAsk={(asked) => void send(asked)} />
      <div class="answer" aria-live="polite" aria-busy={state.is === "asking"}>
        {state.is === "failed" && <Failed error={state.error} />}
        {state.is === "answered" && (
          <>
            <Results answer={state.answer} />
            <Waterfall answer={state.answer} />
          </>
        )}
      </div>
      {asking !== null && <Same asking={asking} />}
    </>
  );
}

/** With the code, by which docs/errors.md says what to do. */
function Failed({ error }: { readonly error: unknown }): JSX.Element {
  const message = messageOf(error);
  const code = error instanceof Refusal ? error.code : null;
  return (
    <p class="reason" role="alert">
      {code !== null && (
        <>
          <code>{code}</code>{" "}
        </>
      )}
      {error instanceof TypeError
        ? `The server could not be reached, or ended the connection (${message}).`
        : message}
    </p>
  );
}

/** Without the path of the page's own file, and what is behind it. */
function serverUrl(): string {
  return new URL(".", document.baseURI).href.replace(/\/$/, "");
}

function Same({ asking }: { readonly asking: Asking }): JSX.Element {
  const { curl, javascript, command } = snippetsOf(asking, {
    url: serverUrl(),
    hasKey: keptKey() !== null,
  });
  return (
    <section class="same" aria-label="The same from elsewhere">
      <h3>The same from elsewhere</h3>
      <Snippet title="curl" text={curl} />
      <Snippet title="JavaScript" text={javascript} />
      <Snippet title="Command" text={command} />
    </section>
  );
}

function Snippet({ title, text }: { readonly title: string; readonly text: string }): JSX.Element {
  const [said, setSaid] = useState("Copy");
  const copy = (): void => {
    // In the open, from another machine, browsers have no clipboard for pages.
    const copied =
      navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
    copied.then(
      () => setSaid("Copied"),
      () => setSaid("Select it"),
    );
    setTimeout(() => setSaid("Copy"), 2_000);
  };
  return (
    <div class="snippet">
      <div class="snippet-head">
        <h4>{title}</h4>
        <button type="button" class="quiet" onClick={copy}>
          {said}
          <span class="hidden"> {title}</span>
        </button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what is long is scrolled by keys */}
      <pre tabIndex={0}>{text}</pre>
    </div>
  );
}
