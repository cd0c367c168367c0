// The explorer: what happens when something changes.

import { ask, Superseded } from "./api.js";
import { drawChoice, setUpChoice } from "./choice.js";
import { $ } from "./dom.js";
import { setUpHanding } from "./handing.js";
import { setUpKeys } from "./keys.js";
import { drawPlots, redrawPlots, setUpPlots } from "./plots.js";
import { drawReading } from "./reading.js";
import * as state from "./state.js";
import { drawTable, setUpTable } from "./table.js";

let pool = null;

const quietly = (work) => work().catch((error) => { if (!(error instanceof Superseded)) console.warn(error.message); });

async function redrawChoice() {
  const choice = await ask("choice", "choice", state.asked());
  drawChoice(pool, choice);
  drawPlots(pool, choice);
}

async function redrawTable() {
  $("table").setAttribute("aria-busy", "true");
  const first = state.current().first ?? "0";
  drawTable(await ask("rows", "rows", { ...state.asked({ found: true }), first }));
  $("table").removeAttribute("aria-busy");
}

let waiting = null;

/** The table follows the sliders when they rest. */
function soon(work) {
  clearTimeout(waiting);
  waiting = setTimeout(() => quietly(work), 120);
}

function follow(names) {
  const choice = names.has("weight") || names.has("fraction");
  if (choice) quietly(redrawChoice);
  if ([...names].some((name) => /^(least|most)_/.test(name))) redrawPlots();
  const onlyRow = [...names].every((name) => name === "row");
  if (!onlyRow) soon(redrawTable);
  if (names.has("row") || (choice && state.current().row)) quietly(drawReading);
}

async function begin() {
  pool = await ask("pool", "pool");
  document.title = `${pool.name} · Select2Reason`;
  setUpChoice(pool);
  setUpPlots();
  setUpTable(pool);
  setUpHanding(pool);
  setUpKeys();
  state.listen(follow);
  await Promise.all([redrawChoice(), redrawTable(), state.current().row ? drawReading() : null].map((work) => quietly(async () => work)));
  document.documentElement.dataset.ready = "true";
}

quietly(begin);
