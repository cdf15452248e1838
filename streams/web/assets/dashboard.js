// The live part of the page: shows each view as it comes, and comes back by itself.
import { curve, el, flow, keep, plain, redraw, say, setClass, setText, svg, timeNode, timeText } from "./drawing.js";
import { startSearch } from "./event.js";
import { startLetters } from "./letters.js";

const at = (id) => document.getElementById(id);
const LATE_MS = 6_000;
const AGAIN_MS = 2_000;

let last = null;
let lastAt = 0;
let source = null;
let again = 0;
let hour = null;

// -- asking

export async function ask(path, body) {
  const answer = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: body === undefined ? {} : { "X-Streams-Change": "1", "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 401) location.reload();
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error || `The worker answered ${answer.status}.`);
  return said;
}

export function confirmed(title, text, yes) {
  setText(at("ask-title"), title);
  setText(at("ask-text"), text);
  setText(at("ask-yes"), yes);
  at("ask").returnValue = "no";
  at("ask").showModal();
  return new Promise((resolve) => {
    at("ask").addEventListener("close", () => resolve(at("ask").returnValue === "yes"), { once: true });
  });
}

// -- live

function connect() {
  source?.close();
  source = new EventSource("/api/stream");
  source.addEventListener("view", (event) => {
    last = JSON.parse(event.data);
    lastAt = Date.now();
    show();
  });
  source.addEventListener("history", (event) => {
    hour = JSON.parse(event.data);
    if (last) show();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) comeBack();
  });
}

async function comeBack() {
  clearTimeout(again);
  again = setTimeout(async () => {
    const answer = await fetch("/api/pipeline", { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) location.reload();
    else connect();
  }, AGAIN_MS);
}

function watch() {
  const late = last !== null && Date.now() - lastAt > LATE_MS;
  document.body.classList.toggle("lost", late);
  setClass(at("link"), late ? "link lost" : "link");
  if (late) setText(at("link"), `not connected since ${timeText(lastAt, true)}, trying again`);
  else if (last) setText(at("link"), `live · ${timeText(last.at, true)}`);
  // A stream that hangs without an error is begun anew.
  if (late && Date.now() - lastAt > 5 * LATE_MS && source?.readyState === EventSource.OPEN) connect();
}

// -- showing

let level = "";

function show() {
  const { verdict } = last;
  setClass(at("verdict"), `verdict ${verdict.level}`);
  say(at("verdict-text"), verdict.text);
  if (verdict.level !== level) {
    if (level) setText(at("spoken"), plain(verdict.text));
    level = verdict.level;
    document.title = `${{ good: "", look: "(!) ", bad: "(!!) " }[level]}Clickstream relay`;
  }
  redraw(at("verdict-go"), [verdict.vendor, last.vendors.map((one) => one.name)], () => {
    const first = last.vendors.find((one) => one.key === verdict.vendor);
    at("verdict-go").hidden = !first;
    at("verdict-go").firstChild.href = `#vendor-${verdict.vendor}`;
    setText(at("verdict-go").firstChild, first ? `What to do about ${first.name}` : "");
  });
  redraw(at("warnings"), last.warnings, () => {
    at("warnings").hidden = !last.warnings.length;
    at("warnings").replaceChildren(...last.warnings.map((text) => el("li", {}, text)));
  });
  at("logout").hidden = !last.may_change;
  at("reading-said").hidden = last.may_change;
  flow(at("flow"), last.flow);
  setText(at("flow-words"), flowWords(last.flow));
  keep(at("vendors"), last.vendors, (vendor) => vendor.key, vendorCard, updateVendor);
  showJoin(last.join, last.enrich);
  keep(document.querySelector("#workers tbody"), last.workers, (worker) => worker.worker, workerRow, updateWorker);
  if (hour?.began) setText(at("history-said"), `The curves show the last hour; they are kept in this worker's memory and begin at ${timeText(hour.began)}.`);
  watch();
}

const flowWords = (data) =>
  `${data.enrich.rate} raw events a second are enriched. ` +
  data.vendors.map((v) => `${v.name}: ${v.state}, ${v.rate} events a second, ${v.waiting} waiting.`).join(" ");

function vendorCard(vendor) {
  const part = (name, node) => ((node.dataset.part = name), node);
  const more = (name) => part(name, el("details", {}, el("summary"), el("div")));
  return el(
    "article",
    { id: `vendor-${vendor.key}`, "aria-label": vendor.name, tabindex: -1 },
    el("div", { class: "head" }, el("h2", {}, vendor.name), part("pill", el("span", { class: "pill" })), part("act", el("button", { type: "button", class: "quiet" }))),
    part("said", el("p", { class: "said" })),
    part("facts", el("dl", { class: "facts" })),
    part("quota", el("div", { class: "bar", hidden: true }, el("div"))),
    el("div", { class: "curves" }, part("accepted", curveNode("accepted /s")), part("waiting", curveNode("waiting"))),
    more("skips"),
    more("causes"),
    more("requests"),
  );
}

const curveNode = (title) => el("div", { class: "curve" }, el("p", {}, el("span", {}, title), el("span")), svg("svg", { "aria-hidden": "true" }));

function updateVendor(card, vendor) {
  const part = (name) => card.querySelector(`[data-part=${name}]`);
  setClass(card, `card vendor is-${vendor.state}`);
  setText(part("pill"), vendor.state);
  say(part("said"), vendor.sentence);
  keep(part("facts"), vendor.facts, (fact) => fact.name, factRow, (row, fact) => setText(row.lastChild, fact.value));
  part("quota").hidden = vendor.quota_share === null;
  part("quota").firstChild.style.width = `${100 * (vendor.quota_share ?? 0)}%`;
  updateAction(part("act"), vendor);
  for (const name of ["accepted", "waiting"]) updateCurve(part(name), hour?.vendors[vendor.key]?.[name], name === "waiting" ? 50 : 0);
  fold(part("skips"), "Skipped", sum(vendor.skips), vendor.skips, (skips) =>
    el("ul", { class: "list" }, ...skips.map((skip) => el("li", {}, el("span", {}, el("code", {}, skip.reason)), el("b", {}, skip.count), el("span", { class: "why" }, skip.meaning)))),
  );
  fold(part("causes"), "Dead letters", vendor.dead_lettered, vendor.causes, (causes) =>
    el("ul", { class: "list" }, ...causes.map((cause) => el("li", {}, el("span", {}, el("code", {}, cause.reason), " ", el("span", { class: "soft" }, cause.fingerprint)), el("b", {}, cause.count), el("span", { class: "why" }, cause.example)))),
  );
  fold(part("requests"), "Last requests", "", vendor.requests, (requests) => el("div", {}, ...requests.map(request)));
}

const factRow = (fact) => el("div", { title: fact.hint || null }, el("dt", {}, fact.name), el("dd"));
const sum = (counts) => counts.reduce((all, one) => all + Number(one.count.replaceAll(",", "")), 0).toLocaleString("en-US");

function request(one) {
  const failed = one.status === null || one.status >= 300;
  return el(
    "div",
    { class: "ask" },
    el("p", {}, timeNode(one.at, true), el("span", { class: failed ? "status failed" : "status" }, one.status === null ? "no answer" : String(one.status)), el("span", {}, `${one.method} ${one.path}`), el("span", { class: "soft" }, one.took)),
    one.sent ? el("pre", {}, one.sent) : null,
    one.answer ? el("pre", {}, one.answer) : null,
  );
}

function fold(node, title, number, values, draw) {
  redraw(node, [number, values], () => {
    node.hidden = !values.length;
    node.firstChild.replaceChildren(title, el("b", {}, String(number)));
    node.lastChild.replaceChildren(values.length ? draw(values) : "");
  });
}

function updateCurve(node, points, least) {
  if (!points) return;
  redraw(node, points, () => {
    const most = curve(node.lastChild, points, hour.samples, least);
    const isKnown = points.some((point) => point !== null);
    setText(node.firstChild.lastChild, !isKnown ? "" : `max ${most.toLocaleString("en-US", { maximumFractionDigits: most < 10 ? 1 : 0 })}`);
  });
}

function updateAction(button, vendor) {
  button.hidden = vendor.can === null;
  button.disabled = !last.may_change;
  button.title = last.may_change ? "" : "Set STREAMS_WEB_TOKEN to change anything from here";
  setText(button, vendor.can === "resume" ? "Resume" : "Pause");
  button.setAttribute("aria-label", `${button.textContent} ${vendor.name}`);
  button.onclick = () => act(button, vendor);
}

async function act(button, vendor) {
  const verb = vendor.can;
  const question = verb === "pause" ? `Nothing is sent to ${vendor.name} until somebody resumes it, at all its workers. Events wait; nothing is lost.` : `Sending to ${vendor.name} goes on; one event goes first.`;
  if (!(await confirmed(`${verb === "pause" ? "Pause" : "Resume"} ${vendor.name}?`, question, verb === "pause" ? "Pause" : "Resume"))) return;
  button.disabled = true;
  try {
    const { sentence } = await ask(`/api/vendors/${vendor.key}/${verb}`, {});
    setText(at("spoken"), sentence);
  } catch (error) {
    await confirmed(`${vendor.name} is as it was`, error.message, "Close");
  } finally {
    button.disabled = false;
    button.focus();
  }
}

function showJoin(join, enrich) {
  setText(at("join-said"), `Of ${join.events} events that enrichment read since it started:`);
  keep(at("join"), join.rows, (row) => row.title, (row) => el("div", {}, el("p", { class: "top" }, el("span", {}, row.title), el("b")), el("div", { class: "bar" }, el("div")), el("p", { class: "notes" }, `${row.hint}.`), el("ul")), (node, row) => {
    setText(node.querySelector("b"), `${row.share} (${row.count})`);
    node.querySelector(".bar > div").style.width = `${100 * row.part}%`;
    redraw(node.querySelector("ul"), row.examples, () => node.querySelector("ul").replaceChildren(...row.examples.map((text) => el("li", {}, text))));
  });
  redraw(at("enrich-notes"), enrich, () => {
    const words = [...enrich.dead_letters.map((one) => `${one.count} ${one.reason}: ${one.meaning}`)];
    const letters = words.length ? `No events at all, kept as dead letters: ${words.join("; ")}. ` : "";
    const notes = enrich.notes.map((one) => `${one.count} ${one.name}`).join(", ");
    at("enrich-notes").replaceChildren(letters + (notes ? `Noted: ${notes}.` : ""));
  });
}

const COLUMNS = ["Worker", "State", "Partitions", "Events/s", "Waiting", "Memory", "Since", "Version"];
const NUMBERS = new Set([2, 3, 4, 5]);

const workerRow = () => el("tr", {}, ...COLUMNS.map((title, index) => el("td", { "data-label": title, class: NUMBERS.has(index) ? "n" : null })));

function updateWorker(row, worker) {
  const [name, state, partitions, rate, waiting, memory, since, version] = row.children;
  redraw(name, [worker.host, worker.pid, worker.partition_list, worker.versions], () => {
    const isOpen = name.querySelector("details")?.open;
    name.replaceChildren(el("b", {}, worker.stage), ` slot ${worker.slot}`, more(worker, isOpen));
  });
  redraw(state, [worker.state, worker.doing], () => state.replaceChildren(el("span", { class: `tone is-${worker.state}` }, worker.doing)));
  redraw(since, worker.started, () => since.replaceChildren(timeNode(worker.started)));
  setText(partitions, worker.partitions);
  setText(rate, worker.rate);
  setText(waiting, worker.waiting);
  setText(memory, worker.memory);
  setText(version, worker.version);
}

const more = (worker, isOpen) =>
  el(
    "details",
    { class: "more", open: isOpen },
    el("summary", {}, `${worker.host}, pid ${worker.pid}`),
    el("p", { class: "soft" }, worker.partition_list || "no partitions"),
    el("p", { class: "soft" }, worker.versions),
  );

document.addEventListener("redraw", () => last && show());
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, dialog")) return;
  event.preventDefault();
  at("search-text").focus();
});

connect();
setInterval(watch, 1_000);
startSearch();
startLetters(() => last);
