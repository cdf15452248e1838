// The live part of the page: shows each view as it comes, and comes back by itself.
import { at, curve, el, flow, keep, place, plain, redraw, say, setClass, setText, svg, timeNode, timeText } from "./drawing.js";
import { startSearch } from "./event.js";
import { showLetters, startLetters } from "./letters.js";
import { startRuns, updateReplayForm } from "./runs.js";
import { NO_TOKEN, ask, confirmed } from "./server.js";

const LATE_MS = 6_000;
const AGAIN_MS = 2_000;

let last = null;
let lastAt = 0;
let source = null;
let again = 0;
let hour = null;

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
  showFindings(last.findings);
  at("logout").hidden = !last.may_change;
  at("reading-said").hidden = last.may_change;
  flow(at("flow"), last.flow);
  setText(at("flow-words"), flowWords(last.flow));
  keep(at("vendors"), last.vendors, (vendor) => vendor.key, vendorCard, updateVendor);
  showLetterCount(last.dead_letters);
  updateReplayForm(last);
  showJoin(last.join, last.enrich);
  keep(document.querySelector("#workers tbody"), last.workers, (worker) => worker.worker, workerRow, updateWorker);
  if (hour?.began) setText(at("history-said"), `Curves start at ${timeText(hour.began)} and cover up to one hour; they are kept in this worker's memory.`);
  watch();
}

const TONES = { ok: "good", warning: "look", problem: "bad" };
const TITLES = { ok: "", warning: "(!) ", problem: "(!!) " };

function showFindings(findings) {
  const [worst, ...others] = findings;
  setClass(at("headline"), `headline ${TONES[worst.level]}`);
  say(at("headline-text"), worst.text);
  at("headline-cause").hidden = !worst.cause;
  say(at("headline-cause"), [worst.cause]);
  at("headline-remedy").hidden = !worst.remedy && !worst.act;
  say(at("headline-remedy").firstChild, [worst.remedy]);
  updateRemedy(at("headline-remedy").querySelector("button"), worst);
  at("headline-more").hidden = !others.length;
  keep(at("headline-more"), others, (one) => `${one.kind} ${one.subject} ${plain(one.text)}`, otherFinding, updateOther);
  const said = plain(worst.text);
  if (worst.level !== level) {
    if (level) setText(at("spoken"), said);
    level = worst.level;
    document.title = `${TITLES[level]}streams`;
  }
}

const otherFinding = () => el("li", {}, el("b"), " ", el("span"), " ", el("button", { type: "button", class: "quiet" }));

function updateOther(node, finding) {
  const [text, rest, button] = node.children;
  setClass(node, TONES[finding.level]);
  say(text, finding.text);
  say(rest, [[finding.cause, finding.remedy].filter(Boolean).join(" ")]);
  updateRemedy(button, finding);
}

// The button that does what the remedy says.
function updateRemedy(button, finding) {
  const vendor = last.vendors.find((one) => one.key === finding.subject);
  button.hidden = !finding.act || (finding.act === "resume" && !vendor);
  if (button.hidden) return;
  const isLetters = finding.act === "letters";
  button.disabled = !isLetters && !last.may_change;
  button.title = button.disabled ? NO_TOKEN : "";
  setText(button, isLetters ? "Show the dead letters" : `Resume ${vendor.name}`);
  button.onclick = () => (isLetters ? goToLetters(finding.subject) : act(button, vendor, "resume"));
}

function goToLetters(owner) {
  at("letters").scrollIntoView({ behavior: "auto", block: "start" });
  at("letters").focus({ preventScroll: true });
  showLetters(owner);
}

function showLetterCount(letters) {
  const unknown = letters.unknown.length ? `, ${letters.unknown.join(" and ")} unknown` : "";
  setText(at("letters-count"), `${letters.hour} new in the last hour, ${letters.total} since the workers started${unknown}`);
}

const flowWords = (data) =>
  `${data.enrich.rate} raw events a second are enriched. ` +
  data.vendors.map((v) => `${v.name}: ${v.state_word}, ${v.rate} events a second settled, ${v.waiting} waiting.`).join(" ");

function vendorCard(vendor) {
  const part = (name, node) => ((node.dataset.part = name), node);
  const more = (name) => part(name, el("details", {}, el("summary"), el("div")));
  return el(
    "article",
    { id: `vendor-${vendor.key}`, "aria-label": vendor.name, tabindex: -1 },
    el("div", { class: "head" }, el("h2", {}, vendor.name), part("pill", el("span", { class: "pill" })), part("act", el("button", { type: "button", class: "quiet" }))),
    part("shares", el("div", { class: "shares" }, el("p", { class: "soft" }), el("div", { class: "share-bar", "aria-hidden": "true" }), el("dl"))),
    part("said", el("ul", { class: "said" })),
    part("facts", el("dl", { class: "facts" })),
    part("quota", el("div", { class: "bar", hidden: true }, el("div"))),
    el("div", { class: "curves" }, part("settled", curveNode("settled /s")), part("waiting", curveNode("waiting"))),
    more("skips"),
    more("causes"),
    more("requests"),
  );
}

const curveNode = (title) => el("div", { class: "curve" }, el("p", {}, el("span", {}, title), el("span")), svg("svg", { "aria-hidden": "true" }));

function updateVendor(card, vendor) {
  const part = (name) => card.querySelector(`[data-part=${name}]`);
  setClass(card, `card vendor is-${vendor.state}`);
  setText(part("pill"), vendor.state_word);
  showShares(part("shares"), vendor.shares);
  part("said").hidden = !vendor.findings.length;
  keep(part("said"), vendor.findings.map((index) => last.findings[index]), (one) => `${one.kind} ${plain(one.text)}`, () => el("li", {}, el("span"), " ", el("span")), (node, one) => {
    say(node.firstChild, one.text);
    say(node.lastChild, [one.remedy]);
  });
  keep(part("facts"), vendor.facts, (fact) => fact.name, factRow, (row, fact) => setText(row.lastChild, fact.value));
  part("quota").hidden = vendor.quota_share === null;
  part("quota").firstChild.style.width = `${100 * (vendor.quota_share ?? 0)}%`;
  updateAction(part("act"), vendor);
  for (const name of ["settled", "waiting"]) updateCurve(part(name), hour?.vendors[vendor.key]?.[name], name === "waiting" ? 50 : 0);
  fold(part("skips"), "Skipped", sum(vendor.skips), vendor.skips, (skips) =>
    el("ul", { class: "list" }, ...skips.map((skip) => el("li", {}, el("span", {}, el("code", {}, skip.reason)), el("b", {}, skip.count), el("span", { class: "why" }, skip.meaning)))),
  );
  fold(part("causes"), "Dead letters", vendor.dead_lettered, vendor.causes, (causes) =>
    el("ul", { class: "list" }, ...causes.map((cause) => el("li", {}, el("span", {}, el("code", {}, cause.reason), " ", el("span", { class: "soft" }, cause.fingerprint)), el("b", {}, cause.count), el("span", { class: "why" }, cause.example)))),
  );
  fold(part("requests"), "Last requests", "", vendor.requests, (requests) => el("div", {}, ...requests.map(request)));
}

const factRow = (fact) => el("div", { title: fact.hint || null, class: fact.name === "time to clear" ? "wide" : fact.name.includes(":") ? "wide tall" : null }, el("dt", {}, fact.name), el("dd"));

// What became of the last hour's events; null: nobody knows.
function showShares(node, shares) {
  const [said, bars, list] = node.children;
  redraw(node, [shares], () => {
    const rows = shares ? shares.rows : ["accepted", "skipped", "dead-lettered"].map((name) => ({ name, count: "?", share: "?", part: 0 }));
    setText(said, shares ? `Outcomes of ${shares.events} in the last hour` : "Outcomes of the last hour are unknown");
    bars.replaceChildren(...rows.filter((row) => row.part).map((row) => sized(el("div", { class: `is-${row.name}` }), row.part)));
    list.replaceChildren(...rows.map((row) => el("div", { class: `is-${row.name}` }, el("dt", {}, row.name), el("dd", {}, row.share, " ", el("span", { class: "soft" }, row.share === "?" || row.share === "-" ? "" : `(${row.count})`)))));
  });
}

function sized(node, part) {
  node.style.width = `${100 * part}%`;
  return node;
}
const sum = (counts) => counts.reduce((all, one) => all + Number(one.count.replaceAll(",", "")), 0).toLocaleString("en-US");

function request(one) {
  const failed = one.status === null || one.status >= 300;
  return el(
    "div",
    { class: "ask" },
    el("p", {}, timeNode(one.at, true), el("span", { class: failed ? "status failed" : "status" }, one.status === null ? "no answer" : String(one.status)), el("span", {}, `${one.method} ${one.path}`), el("span", { class: "soft" }, one.took)),
    one.sent ? el("pre", { tabindex: 0 }, one.sent) : null,
    one.answer ? el("pre", { tabindex: 0 }, one.answer) : null,
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
    const most = curve(node.lastChild, points, least);
    const isKnown = points.some((point) => point !== null);
    setText(node.firstChild.lastChild, !isKnown ? "" : `max ${most.toLocaleString("en-US", { maximumFractionDigits: most < 10 ? 1 : 0 })}`);
  });
}

function updateAction(button, vendor) {
  button.hidden = vendor.can === null;
  button.disabled = !last.may_change;
  button.title = last.may_change ? "" : NO_TOKEN;
  setText(button, vendor.can === "resume" ? "Resume" : "Pause");
  button.setAttribute("aria-label", `${button.textContent} ${vendor.name}`);
  button.onclick = () => act(button, vendor, vendor.can);
}

async function act(button, vendor, verb) {
  const question = verb === "pause" ? `Nothing is sent to ${vendor.name} until it is resumed. This applies to all its workers. Events wait; nothing is lost.` : `Sending to ${vendor.name} resumes; one event is sent first.`;
  if (!(await confirmed(`${verb === "pause" ? "Pause" : "Resume"} ${vendor.name}?`, question, verb === "pause" ? "Pause" : "Resume"))) return;
  button.disabled = true;
  try {
    const { sentence } = await ask(`/api/vendors/${vendor.key}/${verb}`, {});
    setText(at("spoken"), sentence);
  } catch (error) {
    await confirmed(`${vendor.name} was not changed`, error.message, "Close");
  } finally {
    button.disabled = false;
    button.focus();
  }
}

function showJoin(join, enrich) {
  setText(at("join-said"), `Of ${join.events} events that enrichment has read since it started:`);
  keep(at("join"), join.rows, (row) => row.title, (row) => el("div", {}, el("p", { class: "top" }, el("span", {}, row.title), el("b")), el("div", { class: "bar" }, el("div")), el("p", { class: "notes" }, `${row.hint}.`), el("ul")), (node, row) => {
    setText(node.querySelector("b"), row.share === "?" ? "?" : `${row.share} (${row.count})`);
    node.querySelector(".bar > div").style.width = `${100 * row.part}%`;
    redraw(node.querySelector("ul"), row.examples, () => node.querySelector("ul").replaceChildren(...row.examples.map((text) => el("li", {}, place(text)))));
  });
  redraw(at("enrich-notes"), enrich.notes, () => {
    const notes = enrich.notes.map((one) => `${one.name} (${one.count})`).join(", ");
    at("enrich-notes").replaceChildren(notes ? `Also seen in records: ${notes}.` : "");
  });
  redraw(at("invalid"), enrich.invalid, () => {
    const rows = enrich.invalid.map((one) => el("li", {}, el("span", {}, el("code", {}, one.reason)), el("b", {}, one.count), el("span", { class: "why" }, one.meaning)));
    at("invalid").replaceChildren(...(rows.length ? rows : [el("li", { class: "soft" }, "None since enrichment started.")]));
  });
}

const COLUMNS = ["Worker", "State", "Partitions", "Events/s", "Waiting", "Memory", "Since", "Version"];
const NUMBERS = new Set([2, 3, 4, 5]);

const workerRow = () => el("tr", {}, ...COLUMNS.map((title, index) => el("td", { "data-label": title, class: NUMBERS.has(index) ? "n" : null })));

function updateWorker(row, worker) {
  const [name, state, partitions, rate, waiting, memory, since, version] = row.children;
  redraw(name, [worker.place, worker.details], () => {
    const isOpen = name.querySelector("details")?.open;
    name.replaceChildren(el("b", {}, worker.stage), ` ${worker.place}`, worker.details.length ? more(worker, isOpen) : "");
  });
  redraw(state, [worker.state, worker.doing], () => {
    const doing = el("span", { class: `tone is-${worker.state}` });
    say(doing, worker.doing);
    state.replaceChildren(doing);
  });
  redraw(since, worker.started, () => since.replaceChildren(worker.started === null ? "" : timeNode(worker.started)));
  setText(partitions, worker.partitions);
  setText(rate, worker.rate);
  setText(waiting, worker.waiting);
  setText(memory, worker.memory);
  setText(version, worker.version);
}

function more(worker, isOpen) {
  const [first, ...rest] = worker.details;
  return el("details", { class: "more", open: isOpen }, el("summary", {}, first), ...rest.map((text) => el("p", { class: "soft" }, text)));
}

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
startRuns(() => last);
