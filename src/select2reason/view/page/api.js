// Questions to the server. A later question of the same kind takes the place of one that is still under way.

import { $ } from "./dom.js";

const WRITE = document.querySelector('meta[name="write"]').content;
const underWay = new Map();

export class Superseded extends Error {}

async function answer(response) {
  const told = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw new Error(told.error ?? `the server answered ${response.status}`);
  return told;
}

/** The answer to a question; rejects with Superseded where a later one of its kind was asked. */
export async function ask(kind, path, parameters = {}) {
  underWay.get(kind)?.abort();
  const control = new AbortController();
  underWay.set(kind, control);
  try {
    const given = new URLSearchParams(parameters);
    const told = await answer(await fetch(`/api/${path}?${given}`, { signal: control.signal }));
    failed(null);
    return told;
  } catch (error) {
    if (control.signal.aborted) throw new Superseded();
    failed(error);
    throw error;
  } finally {
    if (underWay.get(kind) === control) underWay.delete(kind);
  }
}

export async function write(path, value) {
  const headers = { "Content-Type": "application/json", "X-Select2Reason-Write": WRITE };
  return answer(await fetch(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(value) }));
}

function failed(error) {
  const gone = error instanceof TypeError; // no connection
  $("failed").hidden = error === null;
  $("failed").textContent = gone ? "The server has ended: run `select2reason view` again." : (error?.message ?? "");
}
