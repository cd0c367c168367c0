// Filters, and the table of the examples that they leave.

import { ask } from "./api.js";
import { $, count, decimal, el } from "./dom.js";
import * as state from "./state.js";

const COLUMNS = [
  { name: "rank", label: "place", number: true, title: "Place by the joint rank" },
  { label: "question" },
  { name: "difficulty", label: "difficulty", number: true },
  { name: "trace_tokens", label: "trace tokens", number: true },
  { name: "rethinking_tokens", label: "rethinking", number: true, wide: true },
  { label: "answer", wide: true },
  { label: "fate" },
];
const ALWAYS = ["same_question", "ranked_below"]; // of another choice
const ORDERS = [["", "best place"], ["difficulty|true", "hardest"], ["difficulty|", "easiest"], ["trace_tokens|true", "longest"], ["trace_tokens|", "shortest"], ["rethinking_tokens|true", "most rethinking"]];
const ANSWERS = { right: "right", wrong: "wrong", none: "no final answer", unknown: "unknown" };
let shown = { rows: [], total: 0, first: 0, size: 1 };

export function setUpTable(pool) {
  const { reasons, flags } = pool;
  options("shown", [["", "every example"], ["selected", "chosen"], ["in", "comes in"], ["out", "goes out"], ["eligible", "eligible"],
    ...reasons.filter((r) => r.name !== "selected" && (r.n || ALWAYS.includes(r.name))).map((r) => [r.name, `left out: ${r.name}`, r.meaning])]);
  options("flag", [["", "any"], ...flags.filter((f) => f.n).map((f) => [f.name, `${f.name} (${count(f.n)})`, f.meaning])]);
  options("answer", [["", "any"], ["right", "right"], ["wrong", "wrong"], ["none", "no answer"], ["unknown", "unknown"]]);
  options("order", ORDERS);
  $("order").addEventListener("change", () => {
    const [sort = "", descending = ""] = $("order").value.split("|");
    state.set({ sort, descending, first: "" }, { step: true });
  });
  for (const name of state.FILTERS) {
    const changed = () => state.set({ [name]: name === "search" ? $(name).value.trim() : $(name).value, first: "" }, { step: true });
    $(name).addEventListener("change", changed);
  }
  let typing = null;
  $("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => state.set({ search: $("search").value.trim(), first: "" }), 300);
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", () => state.set({ ...Object.fromEntries(state.FILTERS.map((name) => [name, ""])), first: "" }, { step: true }));
  $("earlier").addEventListener("click", () => page(-1));
  $("later").addEventListener("click", () => page(1));
  $("table").querySelector("thead tr").replaceChildren(...COLUMNS.map(heading));
  showFilters();
}

export async function setUpCategories() {
  const { categories, more } = await ask("categories", "categories").catch(() => ({ categories: [] }));
  if (categories.length < 2) return;
  const named = more ? [["", `any (${count(more)} more not listed)`]] : [["", "any"]];
  options("category", [...named, ...categories.map((c) => [c.value, `${c.name || '""'} (${count(c.n)})`])]);
  $("category-label").hidden = false;
  showFilters();
}

function options(id, given) {
  $(id).replaceChildren(...given.map(([value, text, title]) => el("option", { value, textContent: text, title })));
}

function heading(column) {
  const className = [column.number ? "n" : "", column.wide ? "wide-only" : ""].join(" ").trim();
  if (!column.name) return el("th", { scope: "col", className }, column.label);
  const press = () => sortBy(column.name);
  return el("th", { scope: "col", className, "data-sort": column.name }, el("button", { type: "button", title: column.title ?? `Sort by ${column.label}`, onclick: press }, column.label));
}

/** First the most telling end: the best rank, the hardest, the longest. */
function sortBy(name) {
  const { sort = "rank", descending } = state.current();
  const first = name === "rank" ? "" : "true";
  const down = sort === name ? (descending ? "" : "true") : first;
  state.set({ sort: name === "rank" ? "" : name, descending: down, first: "" }, { step: true });
}

function showFilters() {
  for (const name of state.FILTERS) {
    const input = $(name), value = state.current()[name] ?? "";
    if (document.activeElement !== input || input.tagName === "SELECT") input.value = value;
  }
  $("clear").hidden = !state.changed(state.FILTERS);
  const { sort = "rank", descending } = state.current();
  $("order").value = sort === "rank" ? "" : `${sort}|${descending ?? ""}`;
  for (const cell of document.querySelectorAll("th[data-sort]")) {
    const own = cell.dataset.sort === sort;
    if (own) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  }
}

export function page(by) {
  const first = Math.max(0, shown.first + by * shown.size);
  if (first < shown.total || first === 0) state.set({ first: first || "" }, { step: true });
}

export function drawTable(found) {
  shown = found;
  showFilters();
  $("count").textContent = `${count(found.total)} ${found.total === 1 ? "example" : "examples"}`;
  const body = $("table").querySelector("tbody");
  body.replaceChildren(...found.rows.map(line));
  if (!found.total) body.replaceChildren(el("tr", {}, el("td", { colSpan: COLUMNS.length, className: "missing" }, "No example is like that.")));
  const last = found.first + found.rows.length;
  $("page").textContent = found.total ? `${count(found.first + 1)} to ${count(last)} of ${count(found.total)}` : "";
  $("earlier").disabled = found.first === 0;
  $("later").disabled = last >= found.total;
  markOpen();
}

function line(row) {
  const open = () => state.set({ row: row.row }, { step: true });
  const link = el("a", { href: `#${new URLSearchParams({ ...state.current(), row: row.row })}`, dir: "auto", onclick: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open();
  } }, row.opening || "(no question)");
  return el("tr", { "data-row": row.row, className: row.selected ? "chosen" : "", onclick: (event) => { if (event.target.closest("a") === null) open(); } },
    el("td", { className: "n" }, placed(row)),
    el("td", { className: "question" }, link),
    el("td", { className: "n" }, decimal(row.difficulty, 3)),
    el("td", { className: "n" }, count(row.trace_tokens)),
    el("td", { className: "n wide-only" }, count(row.rethinking_tokens)),
    el("td", { className: "wide-only" }, verdict(row.answer)),
    el("td", {}, fate(row)),
  );
}

export const placed = (row) => (row.place === null ? "–" : count(row.place));

export const verdict = (answer) => el("span", { className: `verdict ${answer}` }, ANSWERS[answer]);

export function fate(row) {
  if (row.change) return el("span", { className: `fate ${row.change}` }, row.change === "in" ? "comes in" : "goes out");
  if (row.selected) return el("span", { className: "fate chosen" }, "chosen");
  return el("span", { className: "fate" }, row.reason);
}

export function markOpen() {
  const open = state.current().row;
  for (const one of document.querySelectorAll("tr[data-row]")) one.classList.toggle("open", one.dataset.row === open);
}

/** The row beside the open one in the table, or its first. */
export function beside(by) {
  const rows = shown.rows.map((row) => String(row.row));
  if (!rows.length) return;
  const at = rows.indexOf(state.current().row ?? marked());
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), rows.length - 1);
  if (state.current().row) state.set({ row: rows[next] });
  else mark(rows[next]);
}

const marked = () => document.querySelector("tr.marked")?.dataset.row;

function mark(row) {
  document.querySelector("tr.marked")?.classList.remove("marked");
  const line = document.querySelector(`tr[data-row="${row}"]`);
  line?.classList.add("marked");
  line?.scrollIntoView({ block: "nearest" });
}

export function openMarked() {
  const row = marked();
  if (row && !state.current().row) state.set({ row }, { step: true });
}
