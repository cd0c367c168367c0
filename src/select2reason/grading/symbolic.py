r"""Right or wrong by meaning, in a worker: Math-Verify reads the LaTeX, and what it reads is compared more strictly.

Math-Verify alone takes 1/2^99 for 1/2^98 (it compares to 15 places), {1, 2} for (1, 2), `5d` for 5 (it drops letters
that could be units), and two equations without solutions for the same. So numbers are compared here relative to their
size, expressions by their values at a few points, and sets, tuples, intervals and matrices part by part; Math-Verify
decides the rest. Only workers import this module: it loads SymPy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

from latex2sympy2_extended import NormalizationConfig  # type: ignore[import-untyped]
from math_verify import LatexExtractionConfig, parse, verify
from sympy import (  # type: ignore[import-untyped]
    Basic,
    Eq,
    Expr,
    Float,
    I,
    Integer,
    Interval,
    MatrixBase,
    MatrixExpr,
    Max,
    Min,
    Mod,
    Piecewise,
    Rational,
    Set,
    Symbol,
    Tuple,
    Union,
    ceiling,
    floor,
    sign,
    simplify,
    solve,
)
from sympy import FiniteSet as SympySet
from sympy.core.relational import Relational  # type: ignore[import-untyped]

from select2reason.grading.numbers import UNIT_NAMES, Number, read_number, same_value

Value: TypeAlias = Any  # of SymPy, which has no types: a Basic or a matrix

_LATEX = LatexExtractionConfig(
    normalization_config=NormalizationConfig(units=False, malformed_operators=True, nits=True, boxed="none")
)
_PRECISION = 50  # decimal digits for values of exact expressions
_EXACT, _ROUNDED = Fraction(1, 10**30), Fraction(1, 10**9)  # relative: without and with decimals in the expression
_LARGEST_SET = 24  # parts that are matched in any order


def compare(given: str, gold: str, *, given_raw: str, gold_raw: str) -> bool | None:
    """Whether the tidied answer means the same as the tidied gold; None where the gold, or a formula, is unreadable.

    The raw texts are read where an answer is a sentence, or holds several formulas.
    """
    if _brackets_differ(given, gold):
        return False
    given, gold = _without_lefts(given, gold)
    expected, answers = _read(gold, gold_raw), _read(given, given_raw)
    if not expected:
        return None
    if not answers:
        return None if _may_be_formula(given) and read_number(gold) is None else False
    if any(_same(answer, value) for answer in answers for value in expected):
        return True
    if given.endswith("%") != gold.endswith("%"):  # 12 1/3 % for 12 1/3: the unit left out
        return _same_all(_read(given.rstrip("% "), ""), _read(gold.rstrip("% "), ""))
    return False


def _without_lefts(given: str, gold: str) -> tuple[str, str]:
    """f(x) = 1, f(x) = x is 1, x; but not where the two sides name different things."""
    (a, of_given), (b, of_gold) = _by_left(given), _by_left(gold)
    return (of_given, of_gold) if a == b or not (a and b) else (given, gold)


def _by_left(tidied: str) -> tuple[str, str]:
    """The left side that all equations of a list share, and what is on their right sides; "" where there is none."""
    parts = [_LEFT.match(part.strip()) for part in _with_commas(tidied).split(",")]
    lefts = {part[1].replace(" ", "") if part else "" for part in parts}
    if len(parts) < 2 or len(lefts) > 1 or "" in lefts:
        return "", tidied
    return lefts.pop(), ",".join(part[2] for part in parts if part)


def _same_all(answers: Sequence[Value], expected: Sequence[Value]) -> bool:
    return any(_same(answer, value) for answer in answers for value in expected)


# --- reading --------------------------------------------------------------------------------------------------------


_SENTENCE = re.compile(r"(?:(?<![\\a-zA-Z{])[a-zA-Z]{2,}[,:;]?\s+){3}")
_SEVERAL = re.compile(r"\$|\\\(|\\\[|\\boxed|\\begin\{align")
_LEFT_SIDE = re.compile(r"^[^=<>]{1,30}=(?=[^=]*$)")  # of an equation that cannot be read with it
_LEFT = re.compile(r"([a-zA-Z](?:_(?:\w|\{\w+\}))?(?: ?\([a-z]\))?) ?=([^=<>]+)$")
_BARE_FUNCTION = re.compile(
    r"(?<![\\a-zA-Z])(?=(?:arc(?:sin|cos|tan)|(?:sin|cos|tan)h?|cot|sec|csc|ln|log|exp)(?![a-zA-Z{]))"
)
_NAMES = "|".join(name for name in UNIT_NAMES if name.isascii() and name.isalpha() and len(name) > 1)
_UNIT = re.compile(
    rf"""(?<=[\d}})a-zA-Z!])\s*(?:\\text\{{\s*(?!and\b|or\b)(?:[^{{}}]{{2,}}|[msghlL])\}}
    | \s(?:square\ |cubic\ |sq\.?\ )?(?:{_NAMES}|units?)s?
    | \^\\circ)(?:\s*\^\s*(?:\d|\{{-?\d\}}))?(?=\s*(?:,|\\?\}}|\)|\]|$))""",
    re.VERBOSE,
)


@lru_cache(maxsize=4096)  # a gold is met once for each sampled answer
def _read(tidied: str, raw: str) -> list[Value]:
    """What the answer can be read as: SymPy values, none where it cannot be read."""
    if raw and (_SENTENCE.search(tidied) or _SEVERAL.search(tidied)):
        return _values(parse(raw, parsing_timeout=None, fallback_mode="no_fallback"))
    stripped = _UNIT.sub("", tidied).strip() or tidied
    for latex in dict.fromkeys((stripped, _LEFT_SIDE.sub("", stripped))):
        if values := _values(
            parse(f"${_with_commas(latex)}$", [_LATEX], parsing_timeout=None, fallback_mode="no_fallback")
        ):
            return values
    return _values(parse(raw, parsing_timeout=None, fallback_mode="no_fallback")) if raw else []


def _with_commas(latex: str) -> str:
    r"""`\text{and}` and `\text{or}` become commas, as Math-Verify reads lists, and `sin x` becomes `\sin x`."""
    latex = _BARE_FUNCTION.sub(r"\\", latex)
    return re.sub(r"\\text\{\s*(?:,?\s*)(?:and|or)\s*\}|\b(?:and|or)\b", ",", latex)


def _values(parsed: Sequence[object]) -> list[Value]:
    return [value for value in parsed if isinstance(value, Basic | MatrixBase)]


def _may_be_formula(tidied: str) -> bool:
    return bool(re.search(r"[\\^_=]", tidied)) and not _SENTENCE.search(tidied)


# --- brackets -------------------------------------------------------------------------------------------------------


def _brackets_differ(given: str, gold: str) -> bool:
    """One is a whole set in braces, the other a whole tuple in brackets of another kind."""
    a, b = _kind(given), _kind(gold)
    return bool(a and b) and (a == "{") != (b == "{")


def _kind(tidied: str) -> str:
    """The bracket that holds the whole of a list: "{", "(" or "["; nothing where none does."""
    text = (
        re.sub(r"^[a-zA-Z](?:\([a-zA-Z]\))?\s*(?:=|\\in)\s*", "", tidied)
        .replace(r"\{", "{")
        .replace(r"\}", "}")
        .strip()
    )
    if text[:1] not in "{([" or text[-1:] not in "})]" or "," not in text:
        return ""
    depth = 0
    for at, char in enumerate(text):
        depth += (char in "{([") - (char in "})]")
        if depth == 0 and at < len(text) - 1:
            return ""
    inside = text[1:-1].strip()
    return "" if text[0] == "{" and inside.startswith("(") and _kind(inside) else text[0]


# --- comparing ------------------------------------------------------------------------------------------------------


def _same(a: Value, b: Value) -> bool:
    """Whether answer a is gold b."""
    a, b = (value.doit() if isinstance(value, MatrixExpr) else value for value in (a, b))
    by_parts = _by_parts(a, b)
    if by_parts is not None:
        return by_parts
    if isinstance(a, Expr) and isinstance(b, Expr):
        by_value = _by_value(a, b)
        if by_value is not None:
            return by_value
    right = bool(verify(b, a, timeout_seconds=None, allow_set_relation_comp=True))
    return right and not (isinstance(a, Eq) and isinstance(b, Eq) and _both_empty(a, b))


def _by_parts(a: Value, b: Value) -> bool | None:
    """Sets, tuples, intervals and matrices part by part; None where one of them is none of these."""
    if isinstance(a, Interval) and isinstance(b, Interval):
        ends = (a.left_open, a.right_open) == (b.left_open, b.right_open)
        return bool(ends) and _same(a.start, b.start) and _same(a.end, b.end)
    if isinstance(a, MatrixBase) and isinstance(b, MatrixBase):
        return a.shape == b.shape and _all_same(a.flat(), b.flat())
    if isinstance(a, Union) and isinstance(b, Union):
        return _in_any_order(a.args, b.args)
    if isinstance(a, SympySet) and isinstance(b, SympySet):
        return _in_any_order(a.args, b.args)
    p, q = _ordered_parts(a), _ordered_parts(b)
    if p is None or q is None or not (isinstance(a, Tuple | Interval) or isinstance(b, Tuple | Interval)):
        return None
    return _all_same(p, q)


def _ordered_parts(value: Value) -> list[Value] | None:
    """The parts in order of what may be a tuple: (1, 2) is read as an open interval, and 1, 2 as a set."""
    if isinstance(value, Interval):
        return [value.start, value.end] if value.left_open and value.right_open else None
    if isinstance(value, MatrixBase):
        return list(value.flat()) if 1 in value.shape else None
    if isinstance(value, SympySet):
        return list(getattr(value, "_unsorted_args", value.args))
    return list(value.args) if isinstance(value, Tuple) else None


def _all_same(a: Sequence[Value], b: Sequence[Value]) -> bool:
    return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))


def _in_any_order(a: Sequence[Value], b: Sequence[Value]) -> bool | None:
    if len(a) > _LARGEST_SET:
        return None if len(a) == len(b) else False
    left = list(b)
    for part in a:
        match = next((other for other in left if _same(part, other)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def _both_empty(a: Eq, b: Eq) -> bool:
    """Two equations without solutions that are not the same one: Math-Verify finds their empty solutions equal."""
    if solve(a, a.free_symbols) or solve(b, b.free_symbols):
        return False
    ratio = simplify((a.lhs - a.rhs) / (b.lhs - b.rhs))
    return not (ratio.is_number and ratio.is_finite)


# --- numbers and expressions ----------------------------------------------------------------------------------------


_STEPPING = (floor, ceiling, Mod, sign, Max, Min, Piecewise)  # alike at a few points, and yet different
_WHOLE = (7, 12, 29, 50, 83, 101, -4, -15)
_POINTS = (Fraction(17, 11), Fraction(23, 7), Fraction(5, 3), Fraction(31, 13), Fraction(19, 9), Fraction(37, 29))


def _by_value(a: Expr, b: Expr) -> bool | None:
    """Numbers by their values, expressions by their values at two points; None where there is no finite value."""
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    if isinstance(a, Symbol) or isinstance(b, Symbol) or isinstance(a, Relational | Set | MatrixExpr):
        return None
    decimals = [_as_decimal(value) for value in (a, b)]
    if not symbols and any(decimals):
        return _with_decimals(a, b, decimals)
    tolerance = _ROUNDED if a.atoms(Float) or b.atoms(Float) else _EXACT
    stepping = bool(symbols) and (a.has(*_STEPPING) or b.has(*_STEPPING))
    for shift in range(len(_WHOLE) + 2 if stepping else 2 if symbols else 1):
        at = {symbol: _point(symbol, place, shift) for place, symbol in enumerate(symbols)}
        close = _close(a.subs(at), b.subs(at), tolerance)
        if not close:
            return close
    return True


def _point(symbol: Basic, place: int, shift: int) -> Expr:
    """A value for the symbol: positive, of no special form, from the third on a whole number; i is the imaginary
    unit."""
    if str(symbol) == "i":
        return I
    if shift > 1:
        return Integer(_WHOLE[(place + shift - 2) % len(_WHOLE)] + place // len(_WHOLE))
    point = _POINTS[(place + shift) % len(_POINTS)]
    return Rational(point.numerator, point.denominator) + place // len(_POINTS)


def _with_decimals(a: Expr, b: Expr, decimals: Sequence[Number | None]) -> bool | None:
    numbers = [known or _as_number(value) for known, value in zip(decimals, (a, b), strict=True)]
    given, gold = numbers
    return same_value(given, gold) if given is not None and gold is not None else None


def _as_decimal(value: Expr) -> Number | None:
    """A decimal, as it was written."""
    return read_number(repr(float(value))) if isinstance(value, Float) else None


def _as_number(value: Expr) -> Number | None:
    """The exact value of a number, or 50 digits of it."""
    real = value.doit().evalf(_PRECISION)
    if isinstance(value, Rational):
        return Number(Fraction(int(value.p), int(value.q)))
    return Number(Fraction(str(real))) if isinstance(real, Float) else None


def _close(a: Expr, b: Expr, tolerance: Fraction) -> bool | None:
    a, b = a.doit(), b.doit()
    if isinstance(a, Rational) and isinstance(b, Rational):
        return bool(a == b)
    x, y = a.evalf(_PRECISION), b.evalf(_PRECISION)
    if not all(value.is_number and value.is_finite for value in (x, y)):
        return None
    size = max(abs(x), abs(y))
    return bool(abs(x - y) <= size * Rational(tolerance.numerator, tolerance.denominator)) if size else True
