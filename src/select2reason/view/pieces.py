"""Text cut into pieces that a page shows in different ways: plain words, rethinking tokens, mathematics.

Whatever the text holds, the pieces laid end to end are the text (control characters as signs), and none of it is
markup: the page writes words as text, and hands mathematics to a renderer that trusts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from select2reason.report import plain
from select2reason.trace import RETHINKING

Kind = Literal["text", "rethinking", "math", "display"]
_OPENING = re.compile(r"(?<!\\)\$\$?|\\\[|\\\(|\\begin\{(?P<environment>[a-zA-Z]{1,20}\*?)\}|\\boxed\{")
_CLOSING = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}
_DISPLAYED = ("equation", "align", "aligned", "gather", "gathered", "cases", "array", "matrix", "pmatrix", "bmatrix")
_DOLLAR, _BRACE = re.compile(r"(?<!\\)\$"), re.compile(r"(?<!\\)[{}]")
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")  # outside of a command
_LONGEST_MATH_CHARS, _LONGEST_BOX_CHARS = 4_000, 800  # what is longer is shown as text
_RETHINKING = re.compile(RETHINKING)


@dataclass(frozen=True, slots=True)
class Piece:
    """`source` as it stands in the text; of mathematics `formula` is what is between its delimiters."""

    kind: Kind
    source: str
    formula: str = ""


def pieces(text: str, *, rethinking: bool = False) -> list[Piece]:
    """The pieces of a text, in order; with `rethinking` its rethinking tokens (METHOD 1, 9.8) stand alone."""
    shown = plain.visible(text)
    found: list[Piece] = []
    at = 0
    for start, end, piece in _mathematics(shown):
        found.extend(_words(shown[at:start], rethinking))
        found.append(piece)
        at = end
    found.extend(_words(shown[at:], rethinking))
    return found


def _words(text: str, rethinking: bool) -> Iterator[Piece]:
    at = 0
    for match in _RETHINKING.finditer(text) if rethinking else ():
        if match.start() > at:
            yield Piece("text", text[at : match.start()])
        yield Piece("rethinking", match[0])
        at = match.end()
    if at < len(text):
        yield Piece("text", text[at:])


def _mathematics(text: str) -> Iterator[tuple[int, int, Piece]]:
    at = 0
    while match := _OPENING.search(text, at):
        start, inside = match.span()
        end = _end(text, match)
        if end is None:
            at = inside
            continue
        whole = text[start:end]
        yield start, end, _piece(whole, match)
        at = end


def _piece(whole: str, opening: re.Match[str]) -> Piece:
    mark = opening[0]
    if opening["environment"] or mark == r"\boxed{":
        return Piece("display" if opening["environment"] else "math", whole, whole)
    formula = whole[len(mark) : -len(_CLOSING.get(mark, mark))]
    return Piece("display" if mark in ("$$", r"\[") else "math", whole, formula)


def _end(text: str, opening: re.Match[str]) -> int | None:
    """Where the mathematics that begins here has ended; None where it is none: never closed, or too long."""
    inside, mark = opening.end(), opening[0]
    last = min(len(text), inside + _LONGEST_MATH_CHARS)
    if mark == r"\boxed{":
        return _closing_brace(text, inside, min(last, inside + _LONGEST_BOX_CHARS))
    if mark == "$":
        return _closing_dollar(text, inside, last)
    if environment := opening["environment"]:
        if environment.rstrip("*") not in _DISPLAYED:
            return None
        closing = rf"\end{{{environment}}}"
    else:
        closing = _CLOSING[mark]
    at = text.find(closing, inside, last)
    return None if at <= inside else at + len(closing)


def _closing_dollar(text: str, inside: int, last: int) -> int | None:
    """A formula between single dollars holds no blank line and touches both, or neither and holds no plain word:
    `$5 and $7`, `$ 5 or $ 7` are prices."""
    closing = _DOLLAR.search(text, inside, last)
    if closing is None or "\n\n" in (formula := text[inside : closing.start()]) or not formula.strip():
        return None
    spaces = formula[0].isspace(), formula[-1].isspace()
    if text[closing.end() : closing.end() + 1].isdigit() or spaces[0] != spaces[1]:
        return None
    return None if spaces[0] and _PLAIN_WORD.search(formula) else closing.end()


def _closing_brace(text: str, inside: int, last: int) -> int | None:
    depth = 1
    for brace in _BRACE.finditer(text, inside, last):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    return None
