r"""Answers of several parts, as text: lists, named values, ratios, chains of inequalities, conditions.

What is a part and what belongs together is decided here; whether two parts are equal is for the callers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_AND = re.compile(
    r"\\text\{\s*,?\s*(?:and|or|和|或)\s*\}|\b(?:and|or)\b|(?<=\d)(?:and|or)(?=\d)|[;和或与]|\\(?:quad|,|;)"
)
_NAMED = re.compile(r"(?P<name>[a-zA-Z](?:_(?:\w|\{\s*\\?\w+\s*\})|')?)\s*(?:\((?P<of>[a-z])\))?\s*=(?P<value>[^=<>]+)")
_CONDITION = re.compile(r"\s*[,(]\s*([a-zA-Z][^(),=]*?(?:[<>]|\\[lg]e(?![a-z])|\\ne(?![a-z]))[^(),]*)\)?$")
_MODULUS = re.compile(r"\(?\s*\\[pb]?mod(?![a-zA-Z])\s*(?:\{([^{}]*)\}|(\w+))\s*\)?\s*$|\(\s*mod\s+(\w+)\s*\)\s*$")
_FAMILY = re.compile(
    r"[,(]?\s*(?:\\text\{\s*(?:where|for)?\s*\})?\s*[kmn]\s*\\in\s*(?:\\\w+\s*\{?)?\s*([ZN])\s*\}?(?:\^\{?[*+]\}?|_\+)?\s*\)?$"
)
_NO_LIST = re.compile(
    r"""\\[pm]{2}(?![a-zA-Z]) | ^\\?[{(\[] | \$ | [=<>] | \\(?:[lg]e|ne|in|cup|cap|setminus)(?![a-zA-Z])
    | (?<!\\)\b[a-zA-Z]{2,}\s+[a-zA-Z]{2,} | .{150}""",
    re.VERBOSE,
)
_ORDER = re.compile(r"\\[lg]e(?![a-zA-Z])|[<>]")
_CIRCLED = {chr(0x2460 + n): str(n + 1) for n in range(9)}
_STATEMENT = r"(?:\(\s*[1-9]\s*\)|[①-⑨])"
_STATEMENTS = re.compile(rf"{_STATEMENT}(?:[\s,]*{_STATEMENT})*")
_NUMBERED = re.compile(r"[1-9](?:\s*,\s*[1-9])+|[1-9]")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a list: `x = 5` is named x, `f(t) = t` is f of t."""

    value: str
    name: str = ""
    of: str = ""

    def same_name(self, other: Part) -> bool:
        """Whether both may name the same thing: f(x) = 1 and f = 1, y = 1 and f(x) = 1, or either without a name."""
        if not self.name or not other.name or self.name == other.name:
            return True
        return (self.name == "y" and bool(other.of)) or (other.name == "y" and bool(self.of))


def split(tidied: str) -> list[str]:
    """The parts between commas, "and" and "or" outside all brackets."""
    text = _AND.sub(",", tidied)
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [part for part in (*parts, text[start:].strip()) if part]


def named(part: str) -> Part:
    """A part with its name, where it has one."""
    part = part.strip("$ ")
    found = _NAMED.fullmatch(part)
    if found is None:
        return Part(part)
    return Part(found["value"].strip(), found["name"].replace("{", "").replace("}", ""), found["of"] or "")


def pairs(given: str, gold: str) -> list[tuple[Part, Part]] | bool | None:
    """Which parts of two lists belong together, where names of the gold's parts tell; False where the lists cannot be
    equal, None where no names bind and the lists are to be compared in any order."""
    b = _indexed([named(part) for part in split(gold)])
    names = [part.name for part in b if part.name]
    bare = given.strip()
    if len(b) > 1 and names and bare.startswith("(") and bare.endswith(")") and len(split(bare)) == 1:
        bare = bare[1:-1]  # (2, 3) for x = 2, y = 3
    a = _indexed([named(part) for part in split(bare)])
    told = {part.name for part in a if part.name}
    if len(names) == len(b) and len(set(names)) == 1:  # x = 2, x = 3, in any order
        return None if told <= set(names) or len(told) == 1 else False
    if len(b) < 2 or not (names or len(told) > 1) or any("=" in part.value for part in (*a, *b)):
        return None
    if all(not part.name for some in (a, b) for part in some[1:]):  # x = 1, 2
        return None
    if len(a) != len(b):
        return False
    if all(part.name for part in (*a, *b)) and len(set(names)) == len(b):
        by_name = {part.name: part for part in a}
        if set(by_name) != set(names):
            return False
        return [(by_name[part.name], part) for part in b]
    matched = list(zip(a, b, strict=True))
    return matched if all(x.same_name(y) for x, y in matched) else False


def _indexed(parts: list[Part]) -> list[Part]:
    """x_1 = 2, x_2 = 3 are two values of x."""
    bases = {part.name.partition("_")[0] for part in parts}
    if len(parts) > 1 and len(bases) == 1 and all(re.fullmatch(r"[a-zA-Z]_\d", part.name) for part in parts):
        return [replace(part, name=next(iter(bases))) for part in parts]
    return parts


def same_list(tidied: str) -> list[Part]:
    """The parts of a list that gives values of one thing, x = 1, 2 or x_1 = 1, x_2 = 2, all with its name."""
    parts = _indexed([named(part) for part in split(tidied)])
    if parts and parts[0].name and not any(part.name for part in parts[1:]):
        return [replace(part, name=parts[0].name) for part in parts]
    return parts


def modulus(tidied: str) -> tuple[str, str]:
    """A residue and what it is taken modulo: n = 1 (mod 3) as 1 and 3; "" where there is no modulus."""
    found = _MODULUS.search(tidied)
    if found is None:
        return tidied, ""
    return tidied[: found.start()].rpartition(r"\equiv")[2].strip(" ,("), (found[1] or found[2] or found[3]).strip()


def several_differ(given: str, gold: str) -> bool:
    """Whether two plain lists have not as many parts: 2, 2 is not 2."""
    a, b = split(given), split(gold)
    return len(a) != len(b) and not any(_NO_LIST.search(text) for text in (given, gold))


def repeated(given: str, gold: str) -> tuple[list[str], list[str]] | None:
    """The parts of two plain lists of one length where a part stands twice, so that sets would lose it; else None."""
    a, b = split(given), split(gold)
    if len(a) != len(b) or any(_NO_LIST.search(text) for text in (given, gold)):
        return None
    return (a, b) if len({*a}) < len(a) or len({*b}) < len(b) else None


def of_integers(tidied: str) -> tuple[str, str]:
    """What stands before "k is an integer" at the end of a family of answers, and the set that k is in."""
    found = _FAMILY.search(tidied)
    return (tidied[: found.start()].rstrip(" ,("), found[1]) if found else (tidied, "")


def condition(tidied: str) -> tuple[str, str]:
    """What stands before a condition in brackets at the end, and the condition: `x + y = 1 (x > 0)`."""
    found = _CONDITION.search(tidied)
    before = tidied[: found.start()] if found else ""
    if found is None or not re.search(r"=|[a-zA-Z]\s*\^", before) or _ORDER.search(before):
        return tidied, ""
    return tidied[: found.start()].strip(), found[1].strip()


def ratio(tidied: str) -> list[str]:
    """The terms of a ratio of three or more; empty where it is none."""
    terms = [term.strip() for term in tidied.split(":")]
    return terms if len(terms) > 2 and all(terms) else []


def chain(tidied: str) -> tuple[str, ...]:
    """A chain of three or more terms in one direction, the smallest first: `b > a > c` as c, <, a, <, b."""
    signs = _ORDER.findall(tidied)
    if len(signs) < 2 or len({sign in ("<", r"\le") for sign in signs}) > 1:
        return ()
    terms = [term.replace(" ", "") for term in _ORDER.split(tidied)]
    flipped = {">": "<", r"\ge": r"\le"}
    if signs[0] in flipped:
        terms, signs = terms[::-1], [flipped[sign] for sign in signs[::-1]]
    return (*(item for pair in zip(terms, signs, strict=False) for item in pair), terms[-1])


def statements(given: str, gold: str) -> bool | None:
    """Numbers of true statements, (1)(3) or ①③: the same ones, in any order; None where the gold is none of these."""
    gold, given = (re.sub(r"\s*(?:\band\b|和|与)\s*", ",", text) for text in (gold, given))
    if not _STATEMENTS.fullmatch(gold) or (len(gold) == 3 and gold[0] == "("):
        return None
    if re.fullmatch(r"\([1-9](?:,[1-9])+\)", given):
        given = given[1:-1]
    if not _STATEMENTS.fullmatch(given) and not _NUMBERED.fullmatch(given):
        return False if re.fullmatch(r"[\d\s()①-⑨,]+", given) else None
    a, b = (sorted(re.findall(r"\d", "".join(_CIRCLED.get(char, char) for char in text))) for text in (given, gold))
    return a == b
