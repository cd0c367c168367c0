// The two sliders, and the plain figures of what they choose.

import { $, compact, count, decimal, el, percent } from "./dom.js";
import * as state from "./state.js";

/** Fractions that the slider stops at, in percent. */
const STOPS = [
  0.1, 0.2, 0.3, 0.5, 0.7, ...span(1, 20, 1), ...span(22, 50, 2), ...span(55, 100, 5),
];

function span(from, to, step) {
  return Array.from({ length: (to - from) / step + 1 }, (_, i) => from + i * step);
}

const nearest = (share) =>
  STOPS.reduce((best, stop, i) => (Math.abs(Math.log(stop / share)) < Math.abs(Math.log(STOPS[best] / share)) ? i : best), 0);

let recorded = null;

export function setUpChoice(pool) {
  recorded = { weight: pool.weight, share: Number(pool.fraction ?? (pool.eligible ? pool.selected / pool.eligible : 0)), joint: pool.strategy === "joint" };
  $("name").textContent = pool.name;
  const more = pool.more_sources ? ` and ${count(pool.more_sources)} more` : "";
  const names = pool.sources.map((path) => path.split("/").at(-1));
  $("sources").textContent = `${count(pool.rows)} examples, ${count(pool.eligible)} eligible · ${names.join(", ")}${more}`;
  $("sources").title = pool.sources.join("\n");
  $("recorded").textContent = said(pool);
  $("fraction").max = STOPS.length - 1;
  $("weight").addEventListener("input", () => choose({ weight: $("weight").value }));
  $("fraction").addEventListener("input", () => choose({ fraction: exact(STOPS[$("fraction").value]) }));
  $("reset").addEventListener("click", () => state.set({ weight: "", fraction: "", first: "" }, { step: true }));
  $("notes").hidden = !pool.notes.length;
  $("notes").replaceChildren(el("summary", {}, `Before you rely on it: ${count(pool.notes.length)} ${pool.notes.length === 1 ? "note" : "notes"}`),
    el("ul", {}, pool.notes.map((note) => el("li", {}, `${note}.`))));
  showSliders();
}

/** A share of a hundred without the noise of a division: 7% is 0.07. */
const exact = (stop) => String(+(stop / 100).toFixed(6));

function said(pool) {
  const how = pool.strategy === "joint" ? `weight ${pool.weight}` : `the strategy ${pool.strategy}`;
  const cap = pool.per_question ? `, at most ${pool.per_question} a question` : "";
  const joint = pool.strategy === "joint" ? "" : " The sliders choose by the joint rank.";
  const budget = pool.token_budget ? " It was made under a token budget; the sliders go by a fraction instead." : "";
  const none = pool.no_difficulty ? ` ${count(pool.no_difficulty)} examples have no difficulty and rank last in it.` : "";
  return `Recorded: ${count(pool.selected)} selected with ${how}${cap}.${joint}${budget}${none}`;
}

/** One step of a slider, by key. */
export function step(slider, by) {
  const input = $(slider);
  input.value = Number(input.value) + by * Number(input.step);
  input.dispatchEvent(new Event("input"));
}

/** Where both sliders are back at what was recorded, so is the choice. */
function choose(changes) {
  const { weight, fraction } = { ...state.current(), ...changes };
  const back = recorded.joint && [[weight, recorded.weight], [fraction, recorded.share]].every(([now, then]) => !now || Number(now) === then);
  state.set({ first: "", ...changes, ...(back ? { weight: "", fraction: "" } : {}) });
}

function showSliders() {
  const { weight, fraction } = state.current();
  const w = Number(weight ?? recorded.weight);
  const share = Number(fraction ?? recorded.share);
  $("weight").value = w;
  $("fraction").value = nearest(100 * share);
  $("weight-shown").textContent = Number.isFinite(w) ? w.toFixed(3).replace(/0$/, "") : String(weight);
  $("weight").setAttribute("aria-valuetext", $("weight-shown").textContent);
  $("fraction-shown").textContent = percent(share);
  $("fraction").setAttribute("aria-valuetext", percent(share));
  $("reset").hidden = !state.changed(["weight", "fraction"]);
}

export function drawChoice(pool, choice) {
  showSliders();
  $("figures").replaceChildren(
    figure("Selected", count(choice.selected), `of ${count(pool.eligible)} eligible`),
    change("Comes in", choice.in, "in"),
    change("Goes out", choice.out, "out"),
    figure("Tokens", compact(choice.tokens), "of whole examples"),
    figure("H100 hours", decimal(choice.gpu_hours, 2), "an epoch, estimated", pool.gpu_hours_by),
    figure("Median trace", count(choice.median_trace), "tokens"),
    figure("Mean difficulty", decimal(choice.mean_difficulty, 3), "higher = harder"),
    figure("Rethinking", decimal(choice.mean_rethinking, 1), "tokens a trace, mean"),
  );
}

function figure(name, value, detail, title = null) {
  return el("div", { title }, el("dt", {}, name), el("dd", {}, el("div", { className: "figure" }, value), el("div", { className: "detail" }, detail)));
}

/** What comes in or goes out against the recorded choice; a press shows these examples. */
function change(name, n, shown) {
  const label = `Show the ${count(n)} examples: ${name.toLowerCase()}`;
  const press = () => {
    state.set({ shown: state.current().shown === shown ? "" : shown, first: "" }, { step: true });
    $("examples").scrollIntoView({ block: "start", behavior: "smooth" });
  };
  const button = el("button", { type: "button", className: `figure ${shown}`, onclick: press, "aria-label": label, disabled: !n }, count(n));
  return el("div", {}, el("dt", {}, name), el("dd", {}, button, el("div", { className: "detail" }, "against the recorded")));
}
