// What is looked at, kept in the address: every view has a link, and the browser's arrows work.

const CHOICE = ["weight", "fraction"];
export const FILTERS = [
  "search", "shown", "flag", "answer", "category", "least_tokens", "most_tokens", "least_difficulty", "most_difficulty",
];
const ORDER = ["sort", "descending"];
const FIELDS = [...CHOICE, ...FILTERS, ...ORDER, "first", "row"];

let state = read();
const listeners = [];

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(FIELDS.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
}

export const current = () => state;

/** Parameters of a request: the choice, and with `found` the filters and the order. */
export function asked({ found = false } = {}) {
  const names = found ? [...CHOICE, ...FILTERS, ...ORDER] : CHOICE;
  return Object.fromEntries(names.filter((name) => name in state).map((name) => [name, state[name]]));
}

export const changed = (names) => names.some((name) => name in state);

let writing = null;
let unwritten = false;

/** Change fields; empty values are left out. With `step` the browser's back arrow leads here again. */
export function set(changes, { step = false } = {}) {
  const before = state;
  const next = { ...state, ...changes };
  const held = (value) => value !== undefined && value !== null && value !== "";
  state = Object.fromEntries(FIELDS.filter((name) => held(next[name])).map((name) => [name, String(next[name])]));
  if (FIELDS.every((name) => before[name] === state[name])) return;
  clearTimeout(writing);
  if (step) {
    if (unwritten) writeAddress("replaceState", before);
    writeAddress("pushState", state);
  } else {
    unwritten = true;
    writing = setTimeout(() => writeAddress("replaceState", state), 200); // browsers allow so many a second
  }
  tell(before);
}

function writeAddress(way, of) {
  unwritten = false;
  const hash = new URLSearchParams(of).toString();
  history[way](null, "", hash ? `#${hash}` : location.pathname);
}

export const listen = (heard) => listeners.push(heard);

function tell(before) {
  const names = FIELDS.filter((name) => before[name] !== state[name]);
  if (names.length) listeners.forEach((heard) => heard(new Set(names)));
}

addEventListener("popstate", () => {
  clearTimeout(writing);
  unwritten = false;
  const before = state;
  state = read();
  tell(before);
});
