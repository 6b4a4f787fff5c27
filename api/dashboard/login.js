/** The prompt for a token. It is asked for once, however many requests wait for it. */
import { byId, setText } from "./dom.js";

let pending;

/** @param {string} message why the last one was not taken @returns {Promise<string>} */
export function askForToken(message) {
  pending ??= prompt(message).finally(() => {
    pending = undefined;
  });
  return pending;
}

function prompt(message) {
  const dialog = byId("login");
  const input = byId("login-token");
  setText(byId("login-error"), message);
  input.value = "";
  if (!dialog.open) dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    const onSubmit = (event) => {
      event.preventDefault();
      const token = input.value.trim();
      if (token === "") return;
      byId("login-form").removeEventListener("submit", onSubmit);
      dialog.close();
      resolve(token);
    };
    byId("login-form").addEventListener("submit", onSubmit);
    // Without a token there is nothing to go back to.
    dialog.oncancel = (event) => event.preventDefault();
  });
}
