// Everything by keyboard; `?` tells which keys.

import { step } from "./choice.js";
import { $, el } from "./dom.js";
import { showHanding } from "./handing.js";
import { closeReading, go, toggleMathematics } from "./reading.js";
import * as state from "./state.js";
import { beside, openMarked, page } from "./table.js";

const KEYS = [
  ["[", "]", "less, more weight of difficulty", () => step("weight", -5), () => step("weight", 5)],
  [",", ".", "a smaller, a larger fraction", () => step("fraction", -1), () => step("fraction", 1)],
  ["j", "k", "next, previous example", () => move(1), () => move(-1)],
  ["Enter", null, "open the marked example", openMarked],
  ["n", "p", "next, previous page of the table", () => page(1), () => page(-1)],
  ["/", null, "search questions", () => $("search").focus()],
  ["m", null, "mathematics as it is written, or rendered", toggleMathematics],
  ["e", null, "use this choice", showHanding],
  ["Esc", null, "close the example, leave the search", () => state.current().row && closeReading()],
  ["?", null, "these keys", showKeys],
];

/** Where an example is open: among those found; else in the table. */
function move(by) {
  if (state.current().row) go(by);
  else beside(by);
}

export function setUpKeys() {
  $("show-keys").addEventListener("click", showKeys);
  const works = new Map(KEYS.flatMap(([one, other, , work, back]) => [[one, work], [other, back]]).filter(([key]) => key));
  works.set("Escape", works.get("Esc"));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !works.has(event.key) || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input:not([type=range]), select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const own = event.target.closest?.("a, button"); // has its own use for Enter, unless it went with its dialog
    if (event.key === "Enter" && own?.checkVisibility()) return;
    event.preventDefault();
    works.get(event.key)();
  });
}

function showKeys() {
  const rows = KEYS.map(([one, other, meaning]) => el("tr", {}, el("td", {}, [one, other].filter(Boolean).map((key) => el("kbd", {}, key))), el("td", {}, meaning)));
  $("keys").replaceChildren(el("form", { method: "dialog" }, el("h2", { id: "keys-title" }, "Keys"), el("table", {}, el("tbody", {}, rows)),
    el("p", { className: "soft" }, "A drag over a plot filters by what it covers."), el("div", { className: "buttons" }, el("button", { value: "close" }, "Close"))));
  $("keys").showModal();
}
