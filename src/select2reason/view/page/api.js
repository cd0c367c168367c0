// Questions to the server. A later question of the same kind takes the place of one that is still under way.

import { $ } from "./dom.js";

const WRITE = document.querySelector('meta[name="write"]').content;
const underWay = new Map();

export class Superseded extends Error {}

async function answer(response) {
  const told = await response.json().catch((error) => {
    if (error.name === "AbortError" || response.ok) throw error;
    return { error: `the server answered ${response.status}` };
  });
  if (!response.ok) throw new Error(told.error ?? `the server answered ${response.status}`);
  return told;
}

/** The answer to a question; rejects with Superseded where a later one of its kind was asked, or it was dropped. */
export async function ask(kind, path, parameters = {}) {
  drop(kind);
  const control = new AbortController();
  underWay.set(kind, control);
  try {
    const given = new URLSearchParams(parameters);
    const told = await answer(await fetch(`/api/${path}?${given}`, { signal: control.signal }));
    if (control.signal.aborted) throw new Superseded();
    failed(kind, null);
    return told;
  } catch (error) {
    if (control.signal.aborted) throw new Superseded();
    failed(kind, error);
    throw error;
  } finally {
    if (underWay.get(kind) === control) underWay.delete(kind);
  }
}

/** Give up a question, and what went wrong with the last one of its kind. */
export function drop(kind) {
  underWay.get(kind)?.abort();
  underWay.delete(kind);
  failed(kind, null);
}

export async function write(path, value) {
  const headers = { "Content-Type": "application/json", "X-Select2Reason-Write": WRITE };
  return answer(await fetch(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(value) }));
}

const failures = new Map();

/** What went wrong stands there until a question of its kind is answered. */
function failed(kind, error) {
  if (error === null) failures.delete(kind);
  else failures.set(kind, error instanceof TypeError ? "The server has ended: run `select2reason view` again." : error.message);
  const said = [...new Set(failures.values())].join(" · ");
  $("failed").hidden = !said;
  $("failed").textContent = said;
}
