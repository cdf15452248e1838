// Where is my event: asks, shows how far the search is, can be stopped, and draws what was found.
import { at, el, place, setText, timeNode } from "./drawing.js";

const HINTS = { event: "Event id", visitor: "anonymous_id", user: "user_id", sku: "SKU" };
const OUTCOMES = { accepted: "running", dead_lettered: "parked", skipped: "paused", waiting: "degraded", off: "paused", unknown: "paused" };

const FOLDED = 3; // more events than these are listed, to be opened one by one

let running = null;

export function startSearch() {
  at("search-what").addEventListener("change", () => at("search-text").setAttribute("placeholder", HINTS[at("search-what").value]));
  at("search-stop").addEventListener("click", () => running?.abort());
  at("search").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
}

async function search() {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  at("search-stop").hidden = false;
  at("search-found").replaceChildren();
  setText(at("search-said"), "Searching…");
  try {
    const query = new URLSearchParams({ [at("search-what").value]: at("search-text").value.trim(), since: at("search-since").value });
    await read(await fetch(`/api/trace?${query}`, { signal: mine.signal }));
  } catch (error) {
    setText(at("search-said"), mine.signal.aborted ? "Stopped." : error.message);
  } finally {
    if (running === mine) {
      running = null;
      at("search-stop").hidden = true;
    }
  }
}

async function read(answer) {
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `The worker answered ${answer.status}.`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) take(JSON.parse(line));
  }
}

function take(said) {
  if (said.error) throw new Error(said.error);
  if (said.progress) {
    const { step, read, total } = said.progress;
    const far = total ? `: ${read.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} records` : "";
    setText(at("search-said"), `Searching, ${step}${far}…`);
  }
  if (said.trace) show(said.trace);
}

function show(trace) {
  const found = trace.events.length;
  const what = found ? `${found} ${found === 1 ? "event" : "events"}${trace.more ? ", and there are more: narrow the time" : ""}` : "Nothing found";
  const took = `${trace.records.toLocaleString("en-US")} records read in ${trace.seconds.toFixed(1)} s`;
  setText(at("search-said"), `${what}. ${took}. ${trace.notes.join(" ")}`);
  at("search-found").replaceChildren(...trace.events.map((one) => (found > FOLDED ? folded(one) : event(one))));
}

const folded = (one) => el("details", { class: "found" }, el("summary", {}, el("span", {}, el("b", {}, place(one.event_id || one.source)), " ", one.text)), event(one));

function event(one) {
  const facts = [one.event_type?.replaceAll("_", "-"), one.sku && `SKU ${one.sku}`, one.product_id && `product ${one.product_id}`, one.visitor && `visitor ${one.visitor}`, one.user && `user ${one.user}`];
  return el(
    "article",
    { class: "found" },
    el("h3", {}, place(one.event_id || one.source)),
    el("p", {}, one.text),
    el("p", { class: "soft" }, facts.filter(Boolean).join(" · ")),
    steps(one.steps || []),
    one.raw === undefined || one.raw === null ? null : shown("The shop's record", one.raw),
    el("div", { class: "lines" }, ...(one.vendors || []).map(vendor)),
  );
}

const vendor = (one) =>
  el(
    "section",
    { class: "line", "aria-label": one.name },
    el("h3", {}, one.name, el("span", { class: `pill is-${OUTCOMES[one.outcome] || "paused"}` }, one.outcome.replaceAll("_", " "))),
    el("p", {}, one.text),
    steps(one.steps || []),
  );

const steps = (list) => (list.length ? el("ol", { class: "steps" }, ...list.map(step)) : null);

function step(one) {
  const notes = [
    one.place,
    one.run_id && `run ${one.run_id}`,
    one.attempts > 1 && `${one.attempts} requests`,
    one.status && `HTTP ${one.status}`,
    one.vendor_ref && `vendor reference ${one.vendor_ref}`,
    one.fingerprint && `fingerprint ${one.fingerprint}`,
    one.is_repeat && "written twice after a crash, counts once",
  ];
  return el(
    "li",
    { class: `step-${one.kind}` },
    one.at ? timeNode(one.at, true) : null,
    el("p", {}, one.text),
    el("p", { class: "soft" }, notes.filter(Boolean).join(" · ")),
    one.answer ? el("pre", { tabindex: 0 }, one.answer) : null,
    one.payload === undefined || one.payload === null ? null : shown("Payload", one.payload),
  );
}

const shown = (title, value) => el("details", {}, el("summary", {}, title), el("pre", { tabindex: 0 }, typeof value === "string" ? value : JSON.stringify(value, null, 2)));
