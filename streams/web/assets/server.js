// Asking the worker, and asking the person before anything is changed.
import { at, setText } from "./drawing.js";

export const NO_TOKEN = "Set STREAMS_WEB_TOKEN to enable changes";

export async function ask(path, body, signal) {
  const answer = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: body === undefined ? {} : { "X-Streams-Change": "1", "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  if (answer.status === 401) location.reload();
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error || `The worker answered ${answer.status}.`);
  return said;
}

// Asks in a dialog; `more` are elements between the question and its buttons. Resolves to yes or no.
export function confirmed(title, text, yes, more = []) {
  setText(at("ask-title"), title);
  setText(at("ask-text"), text);
  at("ask-more").replaceChildren(...more);
  setText(at("ask-yes"), yes);
  at("ask").returnValue = "no";
  at("ask").showModal();
  return new Promise((resolve) => {
    at("ask").addEventListener("close", () => resolve(at("ask").returnValue === "yes"), { once: true });
  });
}

// Runs work that a button has begun; says how it goes, and gives the focus back.
export async function busy(button, said, words, work) {
  button.disabled = true;
  setText(said, words);
  try {
    await work();
  } catch (error) {
    setText(said, error.message);
  } finally {
    button.disabled = false;
    if (document.activeElement === document.body && button.isConnected) button.focus();
  }
}
