// Replays and resends: previewed and confirmed as in the terminal, followed, resumed, stopped.
import { at, el, keep, redraw, say, setText } from "./drawing.js";
import { NO_TOKEN, ask, busy, confirmed } from "./server.js";

const AGAIN_MS = 5_000;
let current = () => null;
let again = 0;

export function startRuns(view) {
  current = view;
  at("replays-go").addEventListener("click", showRuns);
  at("replay").addEventListener("submit", (event) => {
    event.preventDefault();
    replay();
  });
  const now = Date.now();
  at("replay-from").value = local(now - 3_600_000);
  at("replay-to").value = local(now);
}

// Called with each view: which vendors there are, and whether anything may be changed.
export function updateReplayForm(view) {
  redraw(at("replay"), [view.vendors.map((one) => one.key).sort(), view.may_change], () => {
    const chosen = at("replay-vendor").value;
    const vendors = [...view.vendors].sort((a, b) => a.name.localeCompare(b.name));
    at("replay-vendor").replaceChildren(el("option", { value: "all" }, "all vendors"), ...vendors.map((one) => el("option", { value: one.key }, one.name)));
    if (chosen) at("replay-vendor").value = chosen;
    at("replay-preview").disabled = !view.may_change;
    at("replay-preview").title = view.may_change ? "" : NO_TOKEN;
  });
}

// datetime-local wants the browser's own clock without an offset.
function local(ms) {
  const moment = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return moment.toISOString().slice(0, 19);
}

const replay = () =>
  send(
    at("replay-preview"),
    {
      command: "replay",
      vendor: at("replay-vendor").value,
      from_ms: Date.parse(at("replay-from").value),
      to_ms: Date.parse(at("replay-to").value),
      only: at("replay-only").value ? [at("replay-only").value] : [],
      visitor: at("replay-visitor").value || null,
      sku: at("replay-sku").value || null,
      rate: at("replay-rate").value ? Number(at("replay-rate").value) : null,
      again: at("replay-again").checked,
    },
    at("replays-said"),
  );

// Previews, asks, begins: resolves to whether a run was begun.
export async function send(button, asked, said) {
  let begun = false;
  await busy(button, said, "Reading the topics for a preview…", async () => {
    const seen = await previewed(button, asked);
    if (!seen) {
      setText(said, "The preview was cancelled. Nothing was sent.");
      return;
    }
    if (seen.is_empty) {
      setText(said, `${seen.lines.join(" ")} Nothing would be sent.`);
      return;
    }
    setText(said, "");
    if (!(await confirmed(seen.question, seen.lines[0], "Send", [...seen.lines.slice(1).map((line) => el("p", {}, line)), table(seen), ...seen.warnings.map(warning)]))) {
      setText(said, "Nothing was sent.");
      return;
    }
    setText(said, "Starting…");
    const { run_id } = await ask("/api/replays/start", seen.asked);
    begun = true;
    setText(said, `Run ${run_id} has started. Its progress is under Replays and resends.`);
    await lookAtRuns();
  });
  return begun;
}

// Resolves to the preview, or to null where it was cancelled by the button beside it.
async function previewed(button, asked) {
  const running = new AbortController();
  const cancel = el("button", { type: "button", class: "quiet", on: { click: () => running.abort() } }, "Cancel preview");
  button.after(cancel);
  try {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    return await ask("/api/replays/preview", { ...asked, zone }, running.signal);
  } catch (error) {
    if (running.signal.aborted) return null;
    throw error;
  } finally {
    cancel.remove();
  }
}

const warning = (text) => {
  const node = el("p", { class: "warning" });
  say(node, [text]);
  return node;
};

const table = (seen) =>
  el(
    "table",
    { class: "preview" },
    el("thead", {}, el("tr", {}, el("td"), ...seen.vendors.map((key) => el("th", { scope: "col", class: "n" }, nameOf(key))))),
    el("tbody", {}, ...seen.rows.map((row) => el("tr", { class: row.weight || null }, el("th", { scope: "row" }, row.name), ...row.values.map((value) => el("td", { class: "n" }, value))))),
  );

const nameOf = (key) => current()?.vendors.find((one) => one.key === key)?.name ?? key;

async function showRuns() {
  clearTimeout(again);
  await busy(at("replays-go"), at("replays-said"), "Reading the topics…", async () => {
    await lookAtRuns();
    setText(at("replays-said"), at("replays-found").childNodes.length ? "" : "No replay or resend has run yet.");
  });
}

async function lookAtRuns() {
  clearTimeout(again);
  const { runs } = await ask("/api/replays");
  keep(at("replays-found"), runs, (one) => one.run_id, runNode, updateRun);
  if (runs.some((one) => one.goes_on)) again = setTimeout(lookAgain, AGAIN_MS);
}

// What goes on is followed for as long as somebody looks at the page.
async function lookAgain() {
  if (document.hidden) again = setTimeout(lookAgain, AGAIN_MS);
  else await lookAtRuns().catch((error) => setText(at("replays-said"), error.message));
}

const runNode = () => el("div", { class: "group" }, el("div", { class: "row" }, el("h3"), el("div", { class: "row" })), el("p"), el("div"));

function updateRun(node, one) {
  redraw(node, [one, current()?.may_change], () => {
    const [head, sentence, parts] = node.children;
    const what = el("span", { class: "soft" });
    say(what, one.what);
    head.firstChild.replaceChildren(one.run_id, " ", what);
    head.lastChild.replaceChildren(...one.can.map((verb) => runButton(one, verb)));
    say(sentence, one.sentence);
    parts.replaceChildren(...one.parts.map((part) => el("div", { class: "progress" }, el("p", { class: "soft" }, `${part.name}: ${part.sentence}`), bar(part.done))));
  });
}

const QUESTIONS = {
  stop: ["Stop", "Nothing more is sent, and the run cannot be resumed afterwards. Its receipt stays."],
  resume: ["Resume", "The run continues where it stopped. Nothing is sent twice."],
};

function runButton(one, verb) {
  const [word, text] = QUESTIONS[verb];
  const button = el("button", { type: "button", class: verb === "stop" ? "danger" : null, "aria-label": `${word} run ${one.run_id}` }, word);
  button.disabled = !current()?.may_change;
  if (button.disabled) button.title = NO_TOKEN;
  button.addEventListener("click", async () => {
    if (!(await confirmed(`${word} run ${one.run_id}?`, text, word))) return;
    await busy(button, at("replays-said"), `${word}…`, async () => {
      await ask(`/api/replays/${one.run_id}/${verb}`, {});
      setText(at("replays-said"), "");
      await lookAtRuns();
    });
  });
  return button;
}

function bar(share) {
  const inner = el("div");
  inner.style.width = `${100 * share}%`;
  return el("div", { class: "bar" }, inner);
}
