// Three drawings by Observable Plot: the plane of difficulty and length, and how each is spread. A drag filters.

/* global Plot, d3 */
import { $, count, el } from "./dom.js";
import * as state from "./state.js";

const POOL = "var(--pool)", SELECTION = "var(--selection)";
const STYLE = "font-size: 13px; --plot-background: var(--paper); overflow: visible";
const short = (n) => (n >= 1e6 ? `${n / 1e6}M` : n >= 1e3 ? `${n / 1e3}k` : `${n}`);
let last = null;

export function setUpPlots() {
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) redrawPlots();
    width = innerWidth;
  });
}

export const redrawPlots = () => last && drawPlots(...last);

/** What the filters leave, as a frame; without a bound it ends with the axis. */
function frame(x, y) {
  const given = state.current();
  const bound = (name, end, edge) => Number(given[`${end}_${name}`] ?? edge);
  if (!["tokens", "difficulty"].some((name) => given[`least_${name}`] || given[`most_${name}`])) return [];
  return [{ x1: bound("tokens", "least", x[0]), x2: bound("tokens", "most", x[1]), y1: bound("difficulty", "least", y[0]), y2: bound("difficulty", "most", y[1]) }];
}

export function drawPlots(pool, choice) {
  last = [pool, choice];
  keys(pool, choice);
  const x = lengthScale(pool.length.edges);
  drawPlane(pool, choice, x);
  drawSpread("length", pool.length, choice.length, x);
  drawSpread("difficulty", pool.difficulty, choice.difficulty, { label: "difficulty (higher = harder)" });
}

function keys(pool, choice) {
  const n = (counts) => `n = ${count(d3.sum(counts))}`;
  const swatch = (className, text) => el("span", {}, el("i", { className }), text);
  $("plane-key").replaceChildren(
    swatch("fill", `pool, ${n(pool.plane)}; the stronger, the more (logarithmic)`),
    swatch("square", `chosen, ${n(choice.plane)}; area = share of the cell`),
  );
  for (const name of ["length", "difficulty"]) {
    $(`${name}-key`).replaceChildren(swatch("fill", `pool, ${n(pool[name].pool)}`), swatch("rule", `chosen, ${n(choice[name])}`));
  }
}

/** Logarithmic, with 1, 2, 5 as ticks where they have room. */
function lengthScale(edges) {
  const [low, high] = [edges[0], edges.at(-1)];
  const powers = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1).map((p) => 10 ** p);
  const steps = Math.log10(high / low) < 2.2 ? [1, 2, 5] : Math.log10(high / low) < 3.5 ? [1, 3] : [1];
  const ticks = powers.flatMap((p) => steps.map((s) => s * p)).filter((t) => t >= low && t <= high);
  return { type: "log", domain: [low, high], ticks, tickFormat: short, label: "trace tokens (logarithmic)" };
}

const room = (id) => Math.max(280, $(id).clientWidth);

function place(id, label, drawn) {
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", label);
  $(id).replaceChildren(drawn);
  return drawn;
}

function drawPlane(pool, choice, x) {
  const lengths = pool.length.edges, difficulties = pool.difficulty.edges, high = difficulties.length - 1;
  const most = Math.log1p(d3.max(pool.plane) || 1);
  const cells = pool.plane.flatMap((n, i) => {
    if (!n) return [];
    const [a, b] = [Math.floor(i / high), i % high];
    const share = choice.plane[i] / n;
    return [{ x1: lengths[a], x2: lengths[a + 1], y1: difficulties[b], y2: difficulties[b + 1], n, share, chosen: choice.plane[i], shade: 0.1 + 0.7 * (Math.log1p(n) / most) }];
  });
  const chosen = cells.filter((cell) => cell.chosen).map((cell) => inner(cell));
  const width = room("plane");
  const drawn = Plot.plot({
    width, height: Math.round(Math.min(430, Math.max(260, 0.62 * width))), marginTop: 30, marginLeft: 46, marginBottom: 40, style: STYLE,
    x, y: { domain: [difficulties[0], difficulties[high]], label: "difficulty (higher = harder)", labelArrow: "none" }, opacity: { type: "identity" },
    marks: [
      Plot.rect(cells, { x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: POOL, fillOpacity: "shade", inset: 0.4 }),
      Plot.rect(chosen, { x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: SELECTION }),
      Plot.rect(frame(x.domain, [difficulties[0], difficulties[high]]), { x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: "none", stroke: "var(--ink)", strokeDasharray: "4 3", clip: true }),
      Plot.tip(cells, Plot.pointer({ x: (c) => Math.sqrt(c.x1 * c.x2), y: (c) => (c.y1 + c.y2) / 2, title: told })),
    ],
  });
  const said = `Difficulty against trace length: ${count(d3.sum(pool.plane))} examples of the pool in cells, ${count(d3.sum(choice.plane))} of them chosen.`;
  brush(place("plane", said, drawn), true, (area) => state.set({ ...bounds("tokens", area.x), ...bounds("difficulty", area.y), first: "" }, { step: true }));
}

const told = (c) =>
  `${count(c.x1)} to ${count(c.x2)} tokens, difficulty ${c.y1.toFixed(2)} to ${c.y2.toFixed(2)}\n${count(c.n)} of the pool, ${count(c.chosen)} chosen (${Math.round(100 * c.share)}%)`;

/** The part of a cell whose area is the chosen share, in its middle. */
function inner(cell) {
  const cut = (1 - 0.94 * Math.sqrt(cell.share)) / 2;
  const between = (low, high, part, log) => (log ? low * (high / low) ** part : low + (high - low) * part);
  return {
    x1: between(cell.x1, cell.x2, cut, true), x2: between(cell.x1, cell.x2, 1 - cut, true),
    y1: between(cell.y1, cell.y2, cut, false), y2: between(cell.y1, cell.y2, 1 - cut, false),
  };
}

function drawSpread(id, side, chosen, x) {
  const [n, m] = [d3.sum(side.pool) || 1, d3.sum(chosen) || 1];
  const bins = side.pool.map((counted, i) => ({ x1: side.edges[i], x2: side.edges[i + 1], pool: (100 * counted) / n, chosen: (100 * chosen[i]) / m, counted, taken: chosen[i] }));
  const outline = bins.flatMap((bin) => [{ x: bin.x1, y: bin.chosen }, { x: bin.x2, y: bin.chosen }]);
  const width = room(id);
  const drawn = Plot.plot({
    width, height: 196, marginTop: 28, marginLeft: 40, marginBottom: 38, style: STYLE,
    x, y: { grid: true, nice: true, ticks: 4, label: "share of examples, %", labelArrow: "none" },
    marks: [
      Plot.rect(bins, { x1: "x1", x2: "x2", y1: 0, y2: "pool", fill: POOL, fillOpacity: 0.4 }),
      Plot.line(outline, { x: "x", y: "y", stroke: SELECTION, strokeWidth: 2 }),
      Plot.ruleY([0], { stroke: "var(--line)" }),
      Plot.tip(bins, Plot.pointerX({ x: (bin) => (x.type === "log" ? Math.sqrt(bin.x1 * bin.x2) : (bin.x1 + bin.x2) / 2), y: (bin) => Math.max(bin.pool, bin.chosen), title: (bin) => binTold(id, bin) })),
    ],
  });
  const name = id === "length" ? "tokens" : "difficulty";
  brush(place(id, `${id === "length" ? "Trace length" : "Difficulty"} of pool and choice, in shares of each.`, drawn), false, (area) =>
    state.set({ ...bounds(name, area.x), first: "" }, { step: true }));
}

function binTold(id, bin) {
  const range = id === "length" ? `${count(bin.x1)} to ${count(bin.x2)} tokens` : `difficulty ${bin.x1.toFixed(2)} to ${bin.x2.toFixed(2)}`;
  return `${range}\npool ${bin.pool.toFixed(1)}% (${count(bin.counted)})\nchosen ${bin.chosen.toFixed(1)}% (${count(bin.taken)})`;
}

function bounds(name, area) {
  const [least, most] = area;
  const shown = (value) => (name === "tokens" ? String(Math.round(value)) : String(+value.toFixed(3)));
  return { [`least_${name}`]: shown(least), [`most_${name}`]: shown(most) };
}

/** A drag over the drawing becomes a filter; Plot's own pointer goes on telling what is under it. */
function brush(drawn, plane, chosen) {
  const svg = drawn.tagName === "svg" ? drawn : drawn.querySelector("svg:last-of-type");
  const [sx, sy] = [drawn.scale("x"), drawn.scale("y")];
  let from = null, area = null;
  const at = (event) => d3.pointer(event, svg);
  const end = () => { area?.remove(); from = area = null; };
  svg.addEventListener("pointerdown", (event) => { 
    if (event.button !== 0 || event.pointerType !== "mouse") return;
    event.stopImmediatePropagation(); // a press is the start of a drag here, and does not pin Plot's tip
    event.preventDefault();
    svg.setPointerCapture(event.pointerId); // the drag may leave the drawing
    svg.dispatchEvent(new PointerEvent("pointerleave")); // takes the tip away
    from = at(event);
  }, { capture: true });
  svg.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = at(event).map((p, axis) => Math.min(Math.max(p, 0), axis ? svg.clientHeight : svg.clientWidth));
    if (!area && Math.hypot(x - from[0], y - from[1]) < 5) return;
    area ??= d3.select(svg).append("rect").attr("class", "brush").node();
    const [y1, y2] = plane ? [Math.min(y, from[1]), Math.max(y, from[1])] : [Math.min(...sy.range), Math.max(...sy.range)];
    d3.select(area).attr("x", Math.min(x, from[0])).attr("width", Math.abs(x - from[0])).attr("y", y1).attr("height", y2 - y1);
  });
  svg.addEventListener("pointerup", (event) => {
    if (from && area) {
      const to = at(event);
      const span = (scale, a, b) => [a, b].map((p) => scale.invert(Math.min(Math.max(p, Math.min(...scale.range)), Math.max(...scale.range)))).sort(d3.ascending);
      chosen({ x: span(sx, from[0], to[0]), y: span(sy, from[1], to[1]) });
    }
    end();
  });
  svg.addEventListener("pointercancel", end);
}
