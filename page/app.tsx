import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { spanText } from "./format.js";
import type { Connection, LiveView } from "./live/live.js";
import { Locked } from "./live/locked.js";
import { Now } from "./now/now.js";
import { Fence } from "./parts/fence.js";
import { Pill, type Tone } from "./parts/pill.js";
import { applyTheme, keptTheme, themes } from "./parts/theme.js";
import { Try } from "./try/try.js";
import { Why } from "./why/why.js";

const tabs = { now: "Now", why: "Why", try: "Try" } as const;

type Tab = keyof typeof tabs;

interface AppProps {
  readonly view: LiveView;
  /** Somebody gave a key, or took it back. */
  readonly onKey: () => void;
}

export function App({ view, onKey }: AppProps): JSX.Element {
  const tab = useTab();
  const { connection, findings } = view;
  const problems = findings?.filter(({ severity }) => severity === "problem").length ?? 0;
  return (
    <>
      <header class="top">
        <Identity view={view} />
        <nav aria-label="Parts of the page">
          {(Object.keys(tabs) as Tab[]).map((each) => (
            <a key={each} href={`#${each}`} aria-current={each === tab ? "page" : undefined}>
              {tabs[each]}
              {each === "why" && (findings?.length ?? 0) > 0 && (
                <span class={`badge ${problems > 0 ? "bad" : "busy"}`}>{findings?.length}</span>
              )}
            </a>
          ))}
        </nav>
        <div class="top-end">
          <Seen view={view} />
          <ThemeSwitch />
        </div>
      </header>
      <p class="hidden" role="status">
        {announcement(view)}
      </p>
      <main>
        <h1 class="hidden">{tabs[tab]}</h1>
        {tab !== "try" && connection.state === "locked" && (
          <Locked why={connection.why} isRefused={connection.isRefused} to="look" onKey={onKey} />
        )}
        {tab !== "try" && connection.state !== "locked" && <Trouble connection={connection} />}
        {view.isOutdated && (
          <p class="trouble">
            The server has another version than this page. <a href="">Load it again</a>.
          </p>
        )}
        {tab !== "try" && view.status !== null && (
          <Fence look={view.status}>
            {tab === "now" ? <Now view={view} status={view.status} /> : <Why findings={findings} />}
          </Fence>
        )}
        {/* It keeps what was written. */}
        <div hidden={tab !== "try"}>
          <Try isShown={tab === "try"} onKey={onKey} />
        </div>
      </main>
    </>
  );
}

function useTab(): Tab {
  const read = (): Tab => {
    const hash = location.hash.slice(1);
    return Object.hasOwn(tabs, hash) ? (hash as Tab) : "now";
  };
  const [tab, setTab] = useState<Tab>(read);
  useEffect(() => {
    const onHash = (): void => setTab(read());
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);
  return tab;
}

const stateTones: Readonly<Record<string, Tone>> = {
  ready: "good",
  starting: "busy",
  draining: "busy",
};

function Identity({ view: { status } }: { readonly view: LiveView }): JSX.Element {
  if (status === null)
    return (
      <div class="identity">
        <strong>Millrace</strong>
      </div>
    );
  const { deployment, state, uptimeMs } = status;
  return (
    <div class="identity">
      <strong>{deployment.name}</strong>
      <Pill tone={stateTones[state] ?? "bad"} text={state} />
      <span class="facts">
        {deployment.environment} · Millrace {deployment.version} · {deployment.node} · up{" "}
        {spanText(uptimeMs)}
      </span>
    </div>
  );
}

const staleMsMin = 3_500;

function Seen({ view: { connection, staleMs } }: { readonly view: LiveView }): JSX.Element {
  const { state } = connection;
  if (staleMs !== null && staleMs > staleMsMin && state !== "locked")
    return <span class="seen bad">as of {spanText(staleMs)} ago</span>;
  const words = {
    connecting: "connecting",
    streaming: "live",
    polling: "live, by asking",
    away: "away",
    locked: "locked",
  };
  return <span class={`seen ${state === "streaming" ? "good" : "busy"}`}>{words[state]}</span>;
}

function Trouble({ connection }: { readonly connection: Connection }): JSX.Element | null {
  if (connection.state === "polling")
    return (
      <p class="trouble">
        There is no stream ({connection.why}); the server is asked each second instead. A proxy on
        the way may hold it back.
      </p>
    );
  if (connection.state === "away")
    return (
      <p class="trouble bad">
        The server does not answer ({connection.why}). It is asked again each second; what is shown
        is what was seen last.
      </p>
    );
  return null;
}

/** Told to who listens, when it changes and not each second. */
function announcement({ status, connection }: LiveView): string {
  if (connection.state === "away") return "The server does not answer.";
  if (status === null) return "";
  const down = status.pipelines.filter(({ state }) => state !== "ready");
  const names = down.slice(0, 3).map(({ pipelineId, state }) => `${pipelineId} is ${state}`);
  return [`The server is ${status.state}.`, ...names].join(" ");
}

function ThemeSwitch(): JSX.Element {
  const [theme, setTheme] = useState(keptTheme);
  const next = themes[(themes.indexOf(theme) + 1) % themes.length] ?? "system";
  return (
    <button
      type="button"
      class="quiet"
      onClick={() => {
        applyTheme(next);
        setTheme(next);
      }}
    >
      theme: {theme}
    </button>
  );
}
