// Dead letters by cause, one as an example, dropping; and the runs of replays and resends.
import { el, keep, redraw, say, setText, timeNode } from "./drawing.js";
import { ask, confirmed } from "./dashboard.js";

const at = (id) => document.getElementById(id);
let current = () => null;

export function startLetters(view) {
  current = view;
  at("letters-go").addEventListener("click", showLetters);
  at("replays-go").addEventListener("click", showRuns);
}

async function busy(button, said, work) {
  button.disabled = true;
  setText(said, "Reading the topics…");
  try {
    await work();
  } catch (error) {
    setText(said, error.message);
  } finally {
    button.disabled = false;
  }
}

const showLetters = () =>
  busy(at("letters-go"), at("letters-said"), async () => {
    const found = await ask(`/api/dead-letters?hours=${at("letters-hours").value}`);
    const more = found.more_groups ? ` ${found.more_groups} more causes are not shown.` : "";
    setText(at("letters-said"), found.groups.length ? `${found.groups.length} ${found.groups.length === 1 ? "cause" : "causes"}, the most frequent first.${more} ${found.left_out ?? ""}` : `No open dead letters. ${found.left_out ?? ""}`);
    at("letters-found").replaceChildren(...found.groups.map(group));
  });

function group(one) {
  const shown = el("div");
  const example = el("button", { type: "button", class: "quiet", on: { click: () => showExample(one, example, shown) } }, "Example");
  const drop = el("button", { type: "button", class: "danger", on: { click: () => dropGroup(one, drop, node) } }, "Drop…");
  drop.disabled = !current()?.may_change;
  if (drop.disabled) drop.title = "Set STREAMS_WEB_TOKEN to change anything from here";
  const fix = el("p", { class: "soft" });
  say(fix, [one.fix]);
  const node = el(
    "div",
    { class: "group" },
    el("div", { class: "row" }, el("h3", {}, `${one.open} × ${one.reason} `, el("span", { class: "soft" }, `${one.vendor}, ${one.fingerprint}`)), el("div", { class: "row" }, example, drop)),
    el("p", {}, one.example.detail),
    fix,
    el("p", { class: "soft" }, "First ", timeNode(one.first_seen), ", last ", timeNode(one.last_seen), `. Newest: event ${one.example.event_id} from ${one.example.source}.`),
    shown,
  );
  return node;
}

const showExample = (one, button, shown) => {
  if (shown.childNodes.length) return shown.replaceChildren();
  return busy(button, shown, async () => {
    const { letter } = await ask(`/api/dead-letters/example?vendor=${encodeURIComponent(one.vendor)}&fingerprint=${encodeURIComponent(one.fingerprint)}`);
    shown.replaceChildren(el("pre", {}, JSON.stringify(letter, null, 2)));
  });
};

async function dropGroup(one, button, node) {
  const text = `They are marked as dropped and are not resent any more. The records stay on their topic until retention deletes them. Cause: ${one.reason}, ${one.fingerprint} (${one.vendor}).`;
  if (!(await confirmed(`Drop ${one.open} dead ${one.open === "1" ? "letter" : "letters"}?`, text, "Drop them"))) return;
  await busy(button, at("letters-said"), async () => {
    const done = await ask("/api/dead-letters/drop", { vendor: one.vendor, fingerprint: one.fingerprint, until: one.until });
    node.remove();
    setText(at("letters-said"), `${done.dropped.toLocaleString("en-US")} dropped.`);
    at("letters-go").focus();
  });
}

const AGAIN_MS = 5_000;
let again = 0;

async function showRuns() {
  clearTimeout(again);
  await busy(at("replays-go"), at("replays-said"), lookAtRuns);
}

async function lookAtRuns() {
  const { runs } = await ask("/api/replays");
  setText(at("replays-said"), runs.length ? "" : "No replay or resend has run yet.");
  keep(at("replays-found"), runs, (one) => one.run_id, runNode, updateRun);
  if (runs.some((one) => one.goes_on)) again = setTimeout(lookAgain, AGAIN_MS);
}

// What goes on is followed for as long as somebody looks at the page.
async function lookAgain() {
  if (document.hidden) again = setTimeout(lookAgain, AGAIN_MS);
  else await lookAtRuns().catch((error) => setText(at("replays-said"), error.message));
}

const runNode = () => el("div", { class: "group" }, el("h3"), el("p"), el("div"));

function updateRun(node, one) {
  redraw(node, one, () => {
    const [title, sentence, parts] = node.children;
    const what = el("span", { class: "soft" });
    say(what, one.what);
    title.replaceChildren(one.run_id, " ", what);
    say(sentence, one.sentence);
    parts.replaceChildren(...one.parts.map((part) => el("div", { class: "progress" }, el("p", { class: "soft" }, `${part.name}: ${part.sentence}`), bar(part.done))));
  });
}

function bar(share) {
  const inner = el("div");
  inner.style.width = `${100 * share}%`;
  return el("div", { class: "bar" }, inner);
}
