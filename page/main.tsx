/**
 * READ FIRST of this folder. The page of a server: bundled by scripts/page.js, served by src/front/page.
 *
 *   live/  what the server tells, each second      now/  what it does    why/  what the doctor finds    try/  asking it for something
 *
 * Preact puts what the server says into the document as text, never as HTML, and changes only what is different from a second ago.
 */
import { render } from "preact";
import { App } from "./app.js";
import { Live } from "./live/live.js";
import { applyTheme, keptTheme } from "./parts/theme.js";

const root = document.getElementById("page");
if (root === null) throw new Error("index.html has no #page");
const live = new Live(draw);

function draw(): void {
  if (root !== null) render(<App view={live.view} onKey={() => live.start()} />, root);
}

applyTheme(keptTheme());
draw();
live.start();
// How old a look is changes also where none comes.
setInterval(() => {
  if (!document.hidden) draw();
}, 1_000);
// Who looks at another page costs nobody anything; the two minutes before come with the next stream.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) live.stop();
  else live.start();
});
