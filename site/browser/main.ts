/** What the pages do in a browser: the search. Without it they are whole. */
import MiniSearch from "minisearch";
import type { Section } from "../sections.js";

const shownMax = 12;
const excerptCharacters = 140;

const root = document.querySelector<HTMLScriptElement>("script[data-root]")?.dataset["root"] ?? "";
const form = document.querySelector<HTMLFormElement>("form[role=search]");
const input = form?.querySelector("input");
const list = form?.querySelector("ol");

// On a telephone the list of pages would come before the text.
if (matchMedia("(max-width: 60rem)").matches) {
  document.querySelector("nav details")?.removeAttribute("open");
}
if (form && input && list) {
  form.hidden = false;
  let search: Promise<MiniSearch<Section>> | undefined;
  const show = async (): Promise<void> => {
    search ??= load();
    const found = await search;
    const results = input.value.trim() === "" ? [] : found.search(input.value).slice(0, shownMax);
    const sections = results.map((result) => result as unknown as Section);
    list.replaceChildren(...(sections.length > 0 ? sections.map(itemOf) : [nothing()]));
    list.hidden = input.value.trim() === "";
  };
  input.addEventListener("input", () => void show());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void show().then(() => list.querySelector("a")?.click());
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLInputElement;
    if (event.key === "/" && !isTyping) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape") {
      list.hidden = true;
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target instanceof Node && !form.contains(event.target)) list.hidden = true;
  });
}

async function load(): Promise<MiniSearch<Section>> {
  const response = await fetch(`${root}search.json`);
  const index = new MiniSearch<Section>({
    fields: ["head", "page", "text"],
    storeFields: ["head", "page", "url", "text"],
    searchOptions: { boost: { head: 4, page: 2 }, prefix: true, fuzzy: 0.15, combineWith: "AND" },
  });
  index.addAll((await response.json()) as Section[]);
  return index;
}

function itemOf({ page, head, url, text }: Section): HTMLLIElement {
  const link = document.createElement("a");
  link.href = `${root}${url}`;
  const title = document.createElement("strong");
  title.textContent = head === page ? page : `${page}: ${head}`;
  const excerpt = document.createElement("span");
  excerpt.textContent = text.slice(0, excerptCharacters);
  link.append(title, excerpt);
  const item = document.createElement("li");
  item.append(link);
  return item;
}

function nothing(): HTMLLIElement {
  const item = document.createElement("li");
  item.textContent = "Nothing has these words.";
  return item;
}
