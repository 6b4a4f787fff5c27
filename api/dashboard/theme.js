/** Light or dark: the system's choice until the person makes one, which is kept. */
import { byId } from "./dom.js";

const KEY = "sluice.theme";

/** @param {() => void} onChange for what is drawn with colours of its own */
export function startTheme(onChange) {
  const system = matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    document.documentElement.dataset.theme = localStorage.getItem(KEY) ?? (system.matches ? "light" : "dark");
    onChange();
  };
  byId("theme").addEventListener("click", () => {
    localStorage.setItem(KEY, document.documentElement.dataset.theme === "light" ? "dark" : "light");
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

/** A colour of the current theme, for canvas. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
