// Elements made in code: text is always text, never markup.

export const $ = (id) => document.getElementById(id);

/** An element with properties, attributes (names with a dash, role, for) and children; null children are left out. */
export function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n) => (n === null || n === undefined ? "none" : WHOLE.format(n));

/** Three digits and a letter from ten thousand on: 12.3 k, 4.56 M. */
export function compact(n) {
  if (n === null || n === undefined || Math.abs(n) < 1e4) return count(n);
  const [size, letter] = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]].find(([one]) => n >= 0.9995 * one);
  return `${(n / size).toPrecision(3)}\u00a0${letter}`;
}

export const decimal = (x, places) => (x === null || x === undefined ? "none" : x.toFixed(places));

export const percent = (share) => `${+(100 * share).toPrecision(3)}%`;
