// One example as it is read: mathematics rendered, rethinking tokens marked, repeated and looping steps greyed.

/* global katex */
import { ask, drop } from "./api.js";
import { $, count, decimal, el, percent } from "./dom.js";
import * as state from "./state.js";
import { fate, markOpen, verdict } from "./table.js";

const SAFE = { throwOnError: false, trust: false, strict: "ignore", maxSize: 20, maxExpand: 200 };
const WIDEST_BAR = 400; // tokens of a step whose bar is full
let raw = false;
let loopingFrom = 0;

export const setUpReading = (pool) => { loopingFrom = pool.looping_from; };

const renderer = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (!isIntersecting) continue;
    renderer.unobserve(target);
    render(target);
  }
}, { rootMargin: "600px" });

function render(target) {
  if (raw || target.dataset.done) return;
  target.dataset.done = "true";
  const source = target.textContent;
  try {
    katex.render(target.dataset.formula, target, { ...SAFE, displayMode: target.dataset.display === "true" });
  } catch {
    target.textContent = source;
  }
  target.dataset.source = source;
  target.title = source;
}

/** Pieces as elements: [text], or [kind, source, formula]. */
function written({ pieces, left_out: leftOut }, step) {
  const displayed = (at) => pieces[at]?.[0] === "display" && pieces[at].length > 1;
  const made = pieces.map(([kind, source, formula], at) => {
    const ends = [at === 0 && step, at === pieces.length - 1 && step];
    if (source === undefined) return document.createTextNode(trimmed(kind, ends[0] || displayed(at - 1), ends[1] || displayed(at + 1)));
    if (kind === "rethinking") return el("mark", {}, source);
    const math = el("span", { className: kind === "display" ? "math display" : "math", dir: "ltr" }, source);
    math.dataset.formula = formula;
    math.dataset.display = String(kind === "display");
    renderer.observe(math);
    return math;
  });
  return leftOut ? [...made, el("span", { className: "cut" }, `… ${count(leftOut)} more characters; `, el("a", { href: `/api/text/${$("reading").dataset.row}`, download: "" }, "the whole text"))] : made;
}

/** A formula on lines of its own brings its own space, and so does a step. */
function trimmed(words, after, before) {
  const start = after ? words.replace(/^\s*\n/, "") : words;
  return before ? start.replace(/\n\s*$/, "") : start;
}

const text = (part, className = "text") => el("div", { className, dir: "auto" }, written(part, className === "step"));

export async function drawReading() {
  const { row } = state.current();
  markOpen();
  if (!row) return close();
  const example = await ask("example", `example/${encodeURIComponent(row)}`, state.asked({ found: true }));
  if (state.current().row !== row) return undefined; // closed meanwhile, or another was opened
  const panel = $("reading");
  if (!panel.hidden && panel.dataset.row === row) return drawAgain(example);
  const pressed = ["before", "after"].find((name) => document.activeElement?.closest?.(`#reading .${name}`));
  panel.dataset.row = row;
  panel.replaceChildren(bar(example), ...body(example));
  panel.hidden = false;
  document.body.classList.add("reading");
  panel.scrollTop = 0;
  const button = pressed && panel.querySelector(`.${pressed}:not(:disabled)`);
  (button || panel).focus({ preventScroll: true });
}

/** The same example under another choice: what is known of it, not its text. */
function drawAgain(example) {
  const panel = $("reading");
  panel.querySelector(".bar").replaceWith(bar(example));
  panel.querySelector(".about").replaceWith(about(example));
  panel.querySelector(".beside").replaceWith(beside(example));
}

function close() {
  drop("example");
  if ($("reading").hidden) return;
  const { row } = $("reading").dataset;
  $("reading").hidden = true;
  $("reading").replaceChildren();
  document.body.classList.remove("reading");
  document.querySelector(`tr[data-row="${CSS.escape(row)}"] a`)?.focus({ preventScroll: true });
}

export const closeReading = () => state.set({ row: "" }, { step: true });

export function toggleMathematics() {
  raw = !raw;
  for (const math of document.querySelectorAll("#reading .math")) {
    if (raw) {
      math.textContent = math.dataset.source ?? math.textContent;
      delete math.dataset.done;
    } else renderer.observe(math);
  }
  const button = document.querySelector("#reading .as-is");
  button?.setAttribute("aria-pressed", String(raw));
}

export function go(by) {
  const button = document.querySelector(by < 0 ? "#reading .before" : "#reading .after");
  if (button && !button.disabled) button.click();
}

function bar(example) {
  const { found } = example;
  const to = (row) => () => state.set({ row }, { step: false });
  const where = found.at === null ? "not among those found" : `${count(found.at + 1)} of ${count(found.total)} found`;
  const move = (name, label, row) => el("button", { type: "button", className: name, disabled: row === null || row === undefined, onclick: to(row) }, label);
  return el("div", { className: "bar" },
    move("before", "Previous", found.before), move("after", "Next", found.after),
    el("span", { className: "soft where" }, where),
    el("button", { type: "button", className: "as-is", "aria-pressed": String(raw), title: "Mathematics as it is written (m)", onclick: toggleMathematics }, "As written"),
    el("a", { className: "button whole", href: `/api/text/${example.row}`, download: "", title: "Question and response as a text file" }, "Text"),
    el("button", { type: "button", className: "close", title: "Close (Esc)", onclick: closeReading }, "Close"));
}

function about(example) {
  const { about: known } = example;
  const facts = [
    known.place === null ? "left out before ranking" : `place ${count(known.place)}`, `difficulty ${decimal(known.difficulty, 3)}`,
    `${count(known.trace_tokens)} trace tokens, repeats left out`, `${count(known.total_tokens)} in all`, `${count(known.rethinking_tokens)} rethinking`,
    known.loop_share ? `${percent(known.loop_share)} loops (a looping trace: over ${percent(loopingFrom)})` : null,
    example.category === null ? null : `category ${example.category || '""'}`, known.benchmark === null ? null : `${known.other_numbers ? "a problem with other numbers" : "a problem"} of ${known.benchmark}`,
  ].filter((fact) => fact !== null);
  return el("div", { className: "about" },
    el("h2", {}, `Row ${count(example.row)}`, " ", fate(known)),
    el("p", { className: "soft facts" }, facts.join(" · ")),
    el("p", { className: "soft facts" }, ...why(example)),
    known.flags.length ? el("p", { className: "flags" }, "flagged: ", known.flags.join(", ")) : null);
}

const rank = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });

/** Why it was taken or left: the reason in words, its ranks, and what was taken in its place. */
function why({ about: known, why: told }) {
  const ranks = told.rank_joint === null ? [] : [`rank by difficulty ${rank(told.rank_difficulty)}, by length ${rank(told.rank_length)}, joint ${rank(told.rank_joint)}`];
  const last = !known.selected && known.place !== null && told.last_place ? [`the last place taken is ${count(told.last_place)}`] : [];
  const said = [`${known.selected ? "chosen" : `${known.reason}: ${told.meaning}`}`, ...ranks, ...last].join("; ");
  const open = (row) => el("button", { type: "button", className: "inline", onclick: () => state.set({ row }, { step: true }) }, `row ${count(row)}`);
  return told.instead.length ? [`${said}. Taken of this question: `, ...told.instead.flatMap((row, i) => (i ? [", ", open(row)] : [open(row)])), "."] : [`${said}.`];
}

function body(example) {
  return [
    about(example),
    el("h3", {}, "Question"), text(example.question),
    el("h3", {}, "Verdict"), ...judged(example), ...gold(example),
    el("h3", {}, "Trace"), ...(example.empty ? [el("p", { className: "soft" }, "The trace is empty.")] : [el("p", { className: "soft" }, measured(example)), steps(example)]),
    el("h3", {}, "After the trace"),
    example.answer.pieces.length ? text(example.answer) : el("p", { className: "soft" }, "Nothing follows."),
    beside(example),
  ];
}

function judged(example) {
  const { answer } = example.about;
  const said = answer === "none" ? el("p", {}, verdict(answer)) : el("p", {}, "The answer is ", verdict(answer), ".");
  return example.read === null ? [said] : [said, el("p", { className: "label" }, "answer as it was read"), text(example.read)];
}

function gold(example) {
  if (example.gold === null) return [el("p", { className: "soft" }, "There is no gold answer.")];
  return [el("p", { className: "label" }, "gold answer"), text(example.gold)];
}

function measured(example) {
  const said = [`${count(example.total)} ${example.total === 1 ? "step" : "steps"}`];
  said.push(example.tokens === null ? "tokens not counted: the tokenizer is not at hand" : `${count(example.tokens)} tokens as it stands`);
  if (example.repeated) said.push(`${count(example.repeated)} repeat an earlier step word for word`);
  if (example.looping) said.push(`${count(example.looping)} loop`);
  return `${said.join(", ")}. A bar is a step's tokens.`;
}

function steps(example) {
  const list = el("ol", { className: "steps" }, example.steps.map(step));
  const more = (shown) => {
    if (shown >= example.total) return null;
    const button = el("button", { type: "button", className: "more" }, `Show more: ${count(example.total - shown)} steps`);
    button.addEventListener("click", async () => {
      button.disabled = true;
      const next = await ask("steps", `example/${example.row}`, { first: shown }).catch(() => null);
      button.disabled = false;
      if (!next) return;
      list.append(...next.steps.map(step));
      button.replaceWith(...[more(shown + next.steps.length)].filter((one) => one));
    });
    return button;
  };
  return el("div", {}, list, more(example.steps.length));
}

function step(one) {
  const stale = one.repeats ? "repeats an earlier step" : one.loops ? "loops" : null;
  const bar = el("span", { className: "tokens", title: one.tokens === null ? null : `${count(one.tokens)} tokens` }, one.tokens === null ? "" : count(one.tokens));
  bar.style.setProperty("--part", `${Math.min(100, (100 * (one.tokens ?? 0)) / WIDEST_BAR)}%`);
  return el("li", { className: stale ? "stale" : "", value: one.number }, el("div", { className: "gutter" }, el("span", { className: "number" }, count(one.number)), bar),
    el("div", {}, stale ? el("span", { className: "why" }, stale) : null, text(one.text, "step")));
}

function beside(example) {
  const open = (row) => () => state.set({ row }, { step: true });
  const list = el("ol", { className: "neighbours" }, example.neighbours.map((one) => el("li", {},
    el("button", { type: "button", onclick: open(one.row) }, el("span", { className: "number" }, count(one.place)), el("span", { dir: "auto" }, one.opening || "(no question)"), fate(one)))));
  return el("div", { className: "beside" }, ...(example.neighbours.length ? [el("h3", {}, "Beside it in rank"), list] : []));
}
