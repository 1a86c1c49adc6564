/** Light or dark: as the system has it, unless somebody chose. */

export const themes = ["system", "light", "dark"] as const;

export type Theme = (typeof themes)[number];

const name = "millrace-theme";

export function keptTheme(): Theme {
  const kept = localStorage.getItem(name);
  return themes.find((each) => each === kept) ?? "system";
}

export function applyTheme(theme: Theme): void {
  localStorage.setItem(name, theme);
  document.documentElement.dataset["theme"] = theme;
}
