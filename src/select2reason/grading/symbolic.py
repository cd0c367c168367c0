r"""Right or wrong by meaning, in a worker: Math-Verify reads the LaTeX, and what it reads is compared more strictly.

Math-Verify alone takes 1/2^99 for 1/2^98 (it compares to 15 places), {1, 2} for (1, 2), `5d` for 5 (it drops letters
that could be units), and two equations without solutions for the same. So numbers are compared here relative to their
size, expressions by their values at a few points, and sets, tuples, intervals and matrices part by part; Math-Verify
decides the rest. Only workers import this module: it loads SymPy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from math_verify import verify
from sympy import (  # type: ignore[import-untyped]
    Abs,
    And,
    Basic,
    EmptySet,
    Eq,
    Expr,
    Float,
    I,
    Integer,
    Intersection,
    Interval,
    MatrixBase,
    MatrixExpr,
    Max,
    Min,
    Mod,
    Or,
    Piecewise,
    Rational,
    Set,
    Symbol,
    Tuple,
    Union,
    ceiling,
    floor,
    log,
    pi,
    sign,
    simplify,
    solve,
)
from sympy import FiniteSet as SympySet
from sympy.core.relational import Relational  # type: ignore[import-untyped]

from select2reason.grading import parts
from select2reason.grading.numbers import Number, read_number, same_value
from select2reason.grading.parts import Part
from select2reason.grading.reading import may_be_formula, read, same_angle, units_differ, words_around
from select2reason.grading.rules import decide
from select2reason.grading.tidy import tidy

Value: TypeAlias = Any  # of SymPy, which has no types: a Basic or a matrix

_PRECISION = 50  # decimal digits for values of exact expressions
_EXACT, _ROUNDED = Fraction(1, 10**30), Fraction(1, 10**9)  # relative: without and with decimals in the expression
_LONGEST_FORMULA = 150  # characters
_LARGEST_SET = 24  # parts that are matched in any order


def compare(given: str, gold: str, *, given_raw: str, gold_raw: str) -> bool | None:
    """Whether the tidied answer means the same as the tidied gold; None where the gold, or a formula, is unreadable.

    The raw texts are read where an answer is a sentence, or holds several formulas.
    """
    if _brackets_differ(given, gold):
        return False
    if (told := _by_sentence(given, gold, given_raw, gold_raw)) != "next":
        return told
    (given, given_in), (gold, gold_in) = parts.of_integers(given), parts.of_integers(gold)
    if given_in or gold_in:
        return _alone(given, gold) if not given_in or not gold_in or given_in == gold_in else None
    if (told := _by_named_parts(given, gold)) != "next":
        return told
    if (a := parts.ratio(given)) and (b := parts.ratio(gold)):
        crossed = [(rf"({x})\cdot({b[0]})", rf"({y})\cdot({a[0]})") for x, y in zip(a, b, strict=False)]
        return len(a) == len(b) and _all_true(_alone(x, y) for x, y in crossed)
    if parts.several_differ(given, gold) or units_differ(given, gold):
        return False
    if lists := parts.repeated(given, gold):
        return _all_paired(*lists)
    (given, given_if), (gold, gold_if) = parts.condition(given), parts.condition(gold)
    if given_if or gold_if:
        same_condition = bool(given_if and gold_if) and _alone(given_if, gold_if)
        return _all_true([same_condition, _alone(given, gold)])
    return _whole(*_without_names(given, gold), given_raw, gold_raw)


Told: TypeAlias = bool | Literal["next"] | None  # what one way of comparing tells; "next": it does not apply


def _alone(given: str, gold: str) -> bool | None:
    """A part by itself, as if it were the whole answer."""
    verdict = decide(given, gold)
    return compare(given, gold, given_raw="", gold_raw="") if verdict is None else verdict


def _all_true(verdicts: Iterable[bool | None]) -> bool | None:
    told = list(verdicts)
    return False if False in told else None if None in told else True


def _all_paired(given: list[str], gold: list[str]) -> bool | None:
    """Whether each part of one list has its own in the other, in any order."""
    left = list(gold)
    for part in given:
        match = next((other for other in left if _alone(part, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _by_sentence(given: str, gold: str, given_raw: str, gold_raw: str) -> Told:
    """Answers that are words around formulas: the words must agree, and every formula; where only formulas are given,
    or asked for, a sentence with one formula is that formula, and one with several cannot be judged."""
    a, b = words_around(given_raw), words_around(gold_raw)
    if not b.formulas and re.search(r"[\u4e00-\u9fff]{2}", gold):  # Chinese words among formulas that are not marked
        return None
    if not a.words and not b.words:
        return "next"
    if a.words and b.words:
        if len(a.formulas) != len(b.formulas) or not b.formulas:
            return "next" if not b.formulas and not a.formulas else None
        same = _all_true(_alone(tidy(x), tidy(y)) for x, y in zip(a.formulas, b.formulas, strict=True))
        return same if a.words == b.words or same is False else None
    some = a if a.words else b
    if not some.formulas:
        return "next"
    other = gold if a.words else given
    told = [_alone(*((tidy(x), other) if a.words else (other, tidy(x)))) for x in some.formulas]
    return told[0] if len(told) == 1 else False if set(told) == {False} else None


def _by_named_parts(given: str, gold: str) -> Told:
    """x = 2, y = 3 part by part, by name or in order."""
    matched = parts.pairs(given, gold)
    if matched is None:
        return "next"
    return matched if isinstance(matched, bool) else _all_true(_alone(*_renamed(a, b)) for a, b in matched)


def _without_names(given: str, gold: str) -> tuple[str, str]:
    """f(x) = 1 is 1, and f(x) = 1, f(x) = x is 1, x; but not where the two sides name different things."""
    a, b = ([parts.named(part) for part in parts.split(text)] for text in (given, gold))
    shared = [{part.name for part in some} for some in (a, b)]
    if any(len(names) > 1 for names in shared) or not a or not b or not a[0].same_name(b[0]):
        return given, gold
    if not (a[0].name or b[0].name) or any("=" in part.value for part in (*a, *b)):
        return given, gold
    if len(a) == len(b) == 1:
        return _renamed(a[0], b[0])
    return ", ".join(part.value for part in a), ", ".join(part.value for part in b)


def _renamed(given: Part, gold: Part) -> tuple[str, str]:
    """The values, the argument of the given function called as the gold's: f(t) = t for f(x) = x."""
    if given.of and gold.of and given.of != gold.of:
        return re.sub(rf"(?<![a-zA-Z\\]){given.of}(?![a-zA-Z])", gold.of, given.value), gold.value
    return given.value, gold.value


def _whole(given: str, gold: str, given_raw: str, gold_raw: str) -> bool | None:
    """By the values that the two are read as."""
    given, gold = same_angle(given, gold)
    expected, answers = read(gold, gold_raw), read(given, given_raw)
    if not expected:
        return None
    if not answers:
        return None if may_be_formula(given) and read_number(gold) is None else False
    if any(_same(answer, value) for answer in answers for value in expected):
        return True if _complete(given, gold) else None
    if given.endswith("%") != gold.endswith("%"):  # 12 1/3 % for 12 1/3: the unit left out
        return any(_same(x, y) for x in read(given.rstrip("% "), "") for y in read(gold.rstrip("% "), ""))
    return False


_LOST = re.compile(r"'|\^\s*(?:\{\s*)?(?:T|\\top)(?![a-zA-Z])|\^\s*(?:\{\s*)?\*")


def _complete(given: str, gold: str) -> bool:
    """Whether nothing that the LaTeX parser drops stands on one side alone: primes, transposes, what k is in."""
    if max(len(given), len(gold)) > _LONGEST_FORMULA:  # words, with their own apostrophes
        return True
    a, b = (
        [found.group().replace(" ", "").replace("{", "") for found in _LOST.finditer(text)] for text in (given, gold)
    )
    sets = [r"\{" in text and r"\in" in text for text in (given, gold)]
    return a == b and not any(sets)


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
    if isinstance(a, Eq) and isinstance(b, Eq) and not (a.free_symbols and b.free_symbols):
        return _same(a.lhs, b.lhs) and _same(a.rhs, b.rhs)  # e = 1/2: no equation to solve
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
        return _in_any_order(_members(a), _members(b))
    if (x := _as_set(a)) is not None and (y := _as_set(b)) is not None and (x is not a or y is not b):
        unknown = [value.free_symbols for value in (a, b) if not isinstance(value, Interval | Union)]
        return all(symbols == unknown[0] for symbols in unknown) and bool(
            x == y or (type(x) is type(y) and _same(x, y))
        )
    if isinstance(a, SympySet) and isinstance(b, SympySet):
        return _in_any_order(a.args, b.args)
    p, q = _ordered_parts(a), _ordered_parts(b)
    if p is None or q is None or not (isinstance(a, Tuple | Interval) or isinstance(b, Tuple | Interval)):
        return None
    return _all_same(p, q)


def _members(union: Union) -> list[Value]:
    """The parts of a union, those of unions within it among them."""
    return [member for part in union.args for member in (_members(part) if isinstance(part, Union) else [part])]


def _as_set(value: Value) -> Value | None:
    """A set of numbers as such, and inequalities of one unknown as the set that solves them: all of them together
    where that is anything, else any of them; None for all else."""
    if isinstance(value, Interval | Union):
        return value.doit()
    several = list(value.args) if isinstance(value, SympySet | And | Or) else [value]
    unknown = {symbol for one in several for symbol in getattr(one, "free_symbols", ())}
    if len(unknown) != 1 or not all(isinstance(one, Relational) and not isinstance(one, Eq) for one in several):
        return None
    try:
        solved = [one.as_set() for one in several]
    except NotImplementedError:
        return None
    together = Intersection(*solved)
    return together if together != EmptySet and not isinstance(value, Or) else Union(*solved)


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
    if a.free_symbols and b.free_symbols:
        try:
            if solve(a, a.free_symbols) or solve(b, b.free_symbols):
                return False
        except NotImplementedError:
            pass
    ratio = simplify((a.lhs - a.rhs) / (b.lhs - b.rhs))
    return not (ratio.is_number and ratio.is_finite)


# --- numbers and expressions ----------------------------------------------------------------------------------------


_STEPPING = (floor, ceiling, Mod, sign, Max, Min, Piecewise)  # alike at a few points, and yet different
_WHOLE = (7, 12, 29, 50, 83, 101, -4, -15)
_POINTS = (Fraction(17, 11), Fraction(23, 7), Fraction(5, 3), Fraction(31, 13), Fraction(19, 9), Fraction(37, 29))


def _by_value(a: Expr, b: Expr) -> bool | None:
    """Numbers by their values, expressions by their values at two points; None where there is no finite value."""
    a = _with_integer_of(a, b)
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    if isinstance(a, Symbol) or isinstance(b, Symbol) or isinstance(a, Relational | Set | MatrixExpr):
        return None
    decimals = [_as_decimal(value) for value in (a, b)]
    if not symbols and any(decimals):
        return _with_decimals(a, b, decimals)
    tolerance = _ROUNDED if a.atoms(Float) or b.atoms(Float) else _EXACT
    absolute = a.has(Abs) != b.has(Abs) and not a.has(log)  # ln x for ln |x| is what every table of integrals says
    stepping = bool(symbols) and (absolute or a.has(*_STEPPING) or b.has(*_STEPPING))
    for shift in range(len(_WHOLE) + 2 if stepping else 2 if symbols else 1):
        at = {symbol: _point(symbol, place, shift) for place, symbol in enumerate(symbols)}
        close = _close(a.subs(at), b.subs(at), tolerance)
        if not close:
            return close
    return True


_WHOLE_NUMBERS = {"k", "m", "n"}


def _with_integer_of(a: Expr, b: Expr) -> Expr:
    """Any whole number has no name of its own: n pi is k pi."""
    only_a, only_b = a.free_symbols - b.free_symbols, b.free_symbols - a.free_symbols
    if len(only_a) != 1 or len(only_b) != 1 or not {str(*only_a), str(*only_b)} <= _WHOLE_NUMBERS:
        return a
    return a.subs(*only_a, *only_b) if a.has(pi) and b.has(pi) else a


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
