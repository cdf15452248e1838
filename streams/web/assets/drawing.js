// Elements, sentences and drawings. Text only ever becomes text: nothing here parses markup.

export const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [type, handler] of Object.entries(value)) node.addEventListener(type, handler);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// An event without an id has its place as its id; it is shown as every place is.
export const place = (text) => String(text).replace(/(shop\.(?:clicks|add-to-carts))-(\d+)-(\d+)/g, "$1/$2/$3");

export function setClass(node, name) {
  if (node.getAttribute("class") !== name) node.setAttribute("class", name);
}

// Runs `draw` only where the values have changed: what is open, selected or focused stays so.
const drawn = new WeakMap();
export function redraw(node, values, draw) {
  const now = JSON.stringify(values);
  if (drawn.get(node) === now) return;
  drawn.set(node, now);
  draw();
}

// Keeps one child for each item, by its key, in the items' order.
export function keep(parent, items, key, make, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  let before = null;
  for (const item of items) {
    const name = key(item);
    let child = known.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    known.delete(name);
    update(child, item);
    const place = before ? before.nextElementSibling : parent.firstElementChild;
    if (place !== child) parent.insertBefore(child, place);
    before = child;
  }
  for (const child of known.values()) child.remove();
  // A child that changes its place loses the focus.
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dated = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export function timeText(ms, withSeconds = false) {
  const moment = new Date(ms);
  if (moment.toDateString() !== new Date().toDateString()) return dated.format(moment);
  return (withSeconds ? exact : clock).format(moment);
}

export function timeNode(ms, withSeconds = false) {
  const moment = new Date(ms);
  if (Number.isNaN(moment.getTime())) return el("span", {}, "-");
  return el("time", { datetime: moment.toISOString(), title: moment.toISOString() }, timeText(ms, withSeconds));
}

// A sentence is a list of texts and moments; what stands in backquotes is to be typed.
export function say(node, words) {
  redraw(node, words, () => {
    const parts = [];
    for (const word of words) {
      if (typeof word === "object") parts.push(timeNode(word.at));
      else word.split("`").forEach((text, index) => text && parts.push(index % 2 ? el("code", {}, text) : text));
    }
    node.replaceChildren(...parts);
  });
}

export function plain(words) {
  return words.map((word) => (typeof word === "object" ? timeText(word.at) : word)).join("");
}

// A curve over all that is known, at most an hour, with gaps where nothing was; what is below
// `least` looks as small as it is.
export function curve(node, points, least) {
  const width = 300;
  const height = 36;
  const most = Math.max(...points.filter((point) => point !== null), 0);
  const x = (index) => (width * index) / Math.max(1, points.length - 1);
  const top = Math.max(most, least);
  const y = (value) => height - 2 - (top > 0 ? (value / top) * (height - 5) : 0);
  const lines = [];
  let open = [];
  points.forEach((point, index) => {
    if (point === null) {
      if (open.length) lines.push(open);
      open = [];
    } else open.push([x(index), y(point)]);
  });
  if (open.length) lines.push(open);
  const path = (line) => line.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
  node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  node.setAttribute("preserveAspectRatio", "none");
  node.replaceChildren(
    ...lines.flatMap((line) => [
      svg("path", { class: "area", d: `${path(line)}L${line.at(-1)[0].toFixed(1)} ${height}L${line[0][0].toFixed(1)} ${height}Z` }),
      svg("path", { class: "line", d: path(line.length > 1 ? line : [line[0], [line[0][0] + (points.length > 1 ? 1 : width), line[0][1]]]) }),
    ]),
  );
  return most;
}

const narrow = matchMedia("(max-width: 700px)");

// raw → enrich → vendors, with what flows and what waits; drawn anew only when something changed.
export function flow(node, data) {
  redraw(node, [data, narrow.matches], () => node.replaceChildren(narrow.matches ? tall(data) : wide(data)));
}

const thick = (rate) => 1.5 + Math.min(5, Math.log10(1 + (parseFloat(String(rate).replace(/[<,\s]/g, "")) || 0)) * 1.7);

function edge(d, rate, flows, tone) {
  return svg("path", { d, class: flows ? tone : `${tone} dry`, "stroke-width": flows ? thick(rate) : 1.5 });
}

// As many raw topics as sources are on.
const rawHeight = (data) => 12 + data.raw.length * 38;

function rawBox(x, y, width, data) {
  return [
    svg("rect", { class: "node", x, y, width, height: rawHeight(data), rx: 6 }),
    ...data.raw.flatMap((topic, index) => [
      svg("text", { class: "strong", x: x + 14, y: y + 22 + index * 38 }, topic.name),
      svg("text", { class: "small", x: x + 14, y: y + 38 + index * 38 }, `${topic.waiting} waiting`),
    ]),
  ];
}

function enrichBox(x, y, width, data) {
  const { alive, rate, waiting } = data.enrich;
  return [
    svg("rect", { class: "node", x, y, width, height: 56, rx: 6 }),
    svg("rect", { class: alive ? "mark is-running" : "mark is-gone", x, y: y + 8, width: 4, height: 40, rx: 2 }),
    svg("text", { class: "strong", x: x + 16, y: y + 24 }, "enrich"),
    svg("text", { class: "small", x: x + 16, y: y + 42 }, alive ? `${rate} raw events/s` : `no worker, ${waiting} waiting`),
  ];
}

function vendorBox(x, y, width, vendor) {
  const tone = `is-${vendor.state}`;
  return svg(
    "g",
    { class: tone },
    svg("rect", { class: "node", x, y, width, height: 52, rx: 6 }),
    svg("rect", { class: "mark", x, y: y + 8, width: 4, height: 36, rx: 2 }),
    svg("text", { class: "strong", x: x + 16, y: y + 22 }, vendor.name),
    svg("text", { class: "small", x: x + 16, y: y + 40 }, `${vendor.waiting} waiting`),
    svg("text", { class: "on", x: x + width - 14, y: y + 31, "text-anchor": "end" }, vendor.state_word),
  );
}

// What flows is drawn over what does not.
const dryFirst = (vendors) => vendors.map((vendor, index) => [vendor, index]).sort(([a], [b]) => a.flows - b.flows);

function wide(data) {
  const height = Math.max(120, data.vendors.length * 68 + 4, rawHeight(data) + 4);
  const middle = height / 2;
  const drawing = svg("svg", { viewBox: `0 0 1100 ${height}`, "aria-hidden": "true" });
  drawing.append(
    edge(`M210 ${middle} H 330`, data.enrich.rate, data.enrich.flows, "is-running"),
    svg("text", { class: "strong", x: 270, y: middle - 10, "text-anchor": "middle" }, `${data.enrich.rate} /s`),
    ...rawBox(0, middle - rawHeight(data) / 2, 210, data),
    ...enrichBox(330, middle - 28, 180, data),
  );
  dryFirst(data.vendors).forEach(([vendor, index]) => {
    const y = (height - data.vendors.length * 68) / 2 + index * 68 + 34;
    drawing.append(
      edge(`M510 ${middle} C 590 ${middle} 570 ${y} 650 ${y} H 800`, vendor.rate, vendor.flows, `is-${vendor.state}`),
      svg("text", { class: "strong", x: 725, y: y - 10, "text-anchor": "middle" }, `${vendor.rate} /s`),
      vendorBox(800, y - 26, 300, vendor),
    );
  });
  return drawing;
}

function tall(data) {
  const below = rawHeight(data);
  const drawing = svg("svg", { viewBox: `0 0 330 ${below + 136 + data.vendors.length * 64}`, "aria-hidden": "true" });
  drawing.append(
    edge(`M40 ${below} V ${below + 44}`, data.enrich.rate, data.enrich.flows, "is-running"),
    svg("text", { class: "strong", x: 54, y: below + 27 }, `${data.enrich.rate} /s`),
    ...rawBox(0, 0, 330, data),
    ...enrichBox(0, below + 44, 330, data),
  );
  dryFirst(data.vendors).forEach(([vendor, index]) => {
    const y = below + 136 + index * 64 + 26;
    drawing.append(
      edge(`M12 ${below + 100} V ${y} H 84`, vendor.rate, vendor.flows, `is-${vendor.state}`),
      svg("text", { class: "strong", x: 48, y: y - 8, "text-anchor": "middle" }, `${vendor.rate} /s`),
      vendorBox(84, y - 26, 246, vendor),
    );
  });
  return drawing;
}

narrow.addEventListener("change", () => document.dispatchEvent(new Event("redraw")));
