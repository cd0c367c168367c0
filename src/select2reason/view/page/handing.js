// The choice handed on: the command that makes it, a recipe, or a selection made at once.

import { Superseded, ask, drop, write } from "./api.js";
import { $, el } from "./dom.js";
import * as state from "./state.js";

let name = "";

export function setUpHanding(pool) {
  name = pool.name;
  $("hand-on").addEventListener("click", showHanding);
  const dialog = $("handing");
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

export function showHanding() {
  const dialog = $("handing");
  const out = el("input", { type: "text", id: "out", value: `${name}-choice`, spellcheck: false, autocomplete: "off" });
  const command = el("pre", { id: "command" }, "…");
  const make = el("button", { type: "button", className: "strong", id: "make" }, "Make the selection");
  const told = el("p", { id: "told", role: "status" });
  const copy = el("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(command.textContent);
    copy.textContent = "Copied";
  });
  const recipe = el("a", { href: `/api/recipe?${new URLSearchParams(state.asked())}`, download: "choice.toml", className: "button" }, "Download a recipe");
  const named = () => ask("command", "command", { ...state.asked(), out: out.value }).then(
    (answer) => { command.textContent = answer.command; make.disabled = make.classList.contains("busy"); },
    (error) => {
      if (error instanceof Superseded) return;
      command.textContent = error.message;
      make.disabled = true;
    });
  const show = () => {
    if (out.value.trim()) return named();
    drop("command");
    command.textContent = "Say where to: a folder that is not there yet";
    make.disabled = true;
  };
  out.addEventListener("input", show);
  make.addEventListener("click", () => making(out, make, told));
  dialog.replaceChildren(
    el("form", { method: "dialog" },
      el("h2", { id: "handing-title" }, "Use this choice"),
      el("label", {}, "Folder for the selection, from where the server was started", out),
      el("p", { className: "label" }, "The command that makes it"), command,
      el("div", { className: "buttons" }, make, copy, recipe, el("button", { value: "close" }, "Close")), told));
  show();
  dialog.showModal();
  out.select();
}

async function making(out, make, told) {
  make.classList.add("busy");
  make.disabled = true;
  try {
    let made = await write("selection", { ...state.asked(), out: out.value });
    while (made.state === "making") {
      told.textContent = `Making ${made.out}… ${made.said}`;
      await new Promise((rest) => setTimeout(rest, 400));
      made = await ask("selection", "selection");
    }
    told.className = made.state;
    told.textContent = made.state === "done" ? `Made: ${made.out}. Look at it with: select2reason view ${made.out}` : made.said;
  } catch (error) {
    told.className = "failed";
    told.textContent = error.message;
  }
  make.classList.remove("busy");
  make.disabled = false;
}
