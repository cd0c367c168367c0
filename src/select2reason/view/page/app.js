// The explorer: what happens when something changes.

import { ask, Superseded } from "./api.js";
import { drawChoice, setUpChoice } from "./choice.js";
import { $ } from "./dom.js";
import { setUpHanding } from "./handing.js";
import { setUpKeys } from "./keys.js";
import { drawPlots, redrawPlots, setUpPlots } from "./plots.js";
import { drawReading, setUpReading } from "./reading.js";
import * as state from "./state.js";
import { drawTable, setUpCategories, setUpTable } from "./table.js";

let pool = null;

const quietly = (work) => work().catch((error) => { if (!(error instanceof Superseded)) console.warn(error.message); });

/** One at a time: what is asked for meanwhile is answered once, at the end, by what is asked for then. */
function latest(work) {
  let busy = false, again = false;
  return async () => {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      await quietly(work);
    }
    busy = false;
  };
}

const redrawChoice = latest(async () => {
  const choice = await ask("choice", "choice", state.asked());
  drawChoice(pool, choice);
  drawPlots(pool, choice);
});

const redrawTable = latest(async () => {
  $("table").setAttribute("aria-busy", "true");
  try {
    const first = state.current().first ?? "0";
    drawTable(await ask("rows", "rows", { ...state.asked({ found: true }), first }));
  } finally {
    $("table").removeAttribute("aria-busy");
  }
});

/** What follows the sliders when they rest. */
function resting(work, pause) {
  let waiting = null;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(work, pause);
  };
}

const tableSoon = resting(redrawTable, 120);
const readingSoon = resting(() => quietly(drawReading), 300);

function follow(names) {
  const choice = names.has("weight") || names.has("fraction");
  if (choice) redrawChoice();
  if ([...names].some((name) => /^(least|most)_/.test(name))) redrawPlots();
  const onlyRow = [...names].every((name) => name === "row");
  if (!onlyRow) tableSoon();
  if (names.has("row")) quietly(drawReading);
  else if (choice && state.current().row) readingSoon();
}

async function begin() {
  pool = await ask("pool", "pool");
  document.title = `${pool.name} · Select2Reason`;
  setUpChoice(pool);
  setUpPlots();
  setUpTable(pool);
  setUpHanding(pool);
  setUpKeys();
  setUpReading(pool);
  state.listen(follow);
  const reading = state.current().row ? quietly(drawReading) : null;
  await Promise.all([redrawChoice(), redrawTable(), reading]);
  await quietly(setUpCategories);
  document.documentElement.dataset.ready = "true";
}

quietly(begin);
