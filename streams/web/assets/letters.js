// Dead letters by cause: one as an example, resending, dropping.
import { at, el, place, say, setText, timeNode } from "./drawing.js";
import { send } from "./runs.js";
import { NO_TOKEN, ask, busy, confirmed } from "./server.js";

let current = () => null;

export function startLetters(view) {
  current = view;
  at("letters-go").addEventListener("click", () => showLetters());
}

// Shows the open ones; of one vendor (or enrich) only where it is named.
export const showLetters = (owner = "") =>
  busy(at("letters-go"), at("letters-said"), "Reading the topics…", async () => {
    const of = owner ? `&vendor=${encodeURIComponent(owner)}` : "";
    const found = await ask(`/api/dead-letters?hours=${at("letters-hours").value}${of}`);
    const more = found.more_groups ? ` ${found.more_groups} more causes are not shown.` : "";
    const whose = owner ? ` of ${nameOf(owner)}` : "";
    setText(at("letters-said"), found.groups.length ? `${found.groups.length} ${found.groups.length === 1 ? "cause" : "causes"}${whose}, the most frequent first.${more} ${found.left_out ?? ""}` : `No open dead letters${whose}. ${found.left_out ?? ""}`);
    at("letters-found").replaceChildren(...found.groups.map((one) => group(one, found.since)));
  });

const nameOf = (key) => current()?.vendors.find((one) => one.key === key)?.name ?? key;

function changing(button) {
  button.disabled = !current()?.may_change;
  if (button.disabled) button.title = NO_TOKEN;
  return button;
}

function group(one, since) {
  const shown = el("div");
  const said = el("p", { class: "soft", role: "status" });
  const example = el("button", { type: "button", class: "quiet", on: { click: () => showExample(one, example, shown) } }, "Example");
  const resend = changing(el("button", { type: "button", on: { click: () => resendGroup(one, since, resend, said) } }, "Resend…"));
  const drop = changing(el("button", { type: "button", class: "danger", on: { click: () => dropGroup(one, drop, node) } }, "Drop…"));
  const fix = el("p", { class: "soft" });
  say(fix, [one.fix]);
  const node = el(
    "div",
    { class: "group" },
    el("div", { class: "row" }, el("h3", {}, `${one.open} × ${one.reason} `, el("span", { class: "soft" }, `${nameOf(one.vendor)}, ${one.fingerprint}`)), el("div", { class: "row" }, example, resend, drop)),
    el("p", {}, one.example.detail),
    fix,
    el("p", { class: "soft" }, "First ", timeNode(one.first_seen), ", last ", timeNode(one.last_seen), `. Newest: event ${place(one.example.event_id)} from ${one.example.source}.`),
    said,
    shown,
  );
  return node;
}

const showExample = (one, button, shown) => {
  if (shown.childNodes.length) return shown.replaceChildren();
  return busy(button, shown, "Reading the topics…", async () => {
    const { letter } = await ask(`/api/dead-letters/example?vendor=${encodeURIComponent(one.vendor)}&fingerprint=${encodeURIComponent(one.fingerprint)}`);
    shown.replaceChildren(el("pre", { tabindex: 0 }, JSON.stringify(letter, null, 2)));
  });
};

const resendGroup = (one, since, button, said) => send(button, { command: "resend", vendor: one.vendor, fingerprint: one.fingerprint, since_ms: since }, said);

async function dropGroup(one, button, node) {
  const text = `They are marked as dropped and cannot be resent. The records stay on their topic until retention deletes them. Cause: ${one.reason}, ${one.fingerprint} (${nameOf(one.vendor)}).`;
  if (!(await confirmed(`Drop ${one.open} dead ${one.open === "1" ? "letter" : "letters"}?`, text, "Drop them"))) return;
  await busy(button, at("letters-said"), "Dropping…", async () => {
    const done = await ask("/api/dead-letters/drop", { vendor: one.vendor, fingerprint: one.fingerprint, until: one.until });
    node.remove();
    setText(at("letters-said"), `${done.dropped.toLocaleString("en-US")} dropped.`);
    at("letters-go").focus();
  });
}
