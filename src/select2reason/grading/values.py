r"""When two values of SymPy are the same answer; more strictly than Math-Verify takes them for the same.

Math-Verify alone takes 1/2^99 for 1/2^98 (it compares to 15 places), {1, 2} for (1, 2), and two equations without
solutions for the same. So numbers are compared here relative to their size, expressions by their values at a few
points, and sets, tuples, intervals and matrices part by part; Math-Verify decides the rest. Only workers import it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

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
    Poly,
    Rational,
    Set,
    Symbol,
    Tuple,
    Union,
    ceiling,
    floor,
    log,
    nan,
    oo,
    pi,
    sign,
    simplify,
    solve,
    zoo,
)
from sympy import FiniteSet as SympySet
from sympy.core.relational import Relational  # type: ignore[import-untyped]

from select2reason.grading.numbers import Number, read_number, same_value
from select2reason.grading.reading import Value

T = TypeVar("T")

_PRECISION = 50  # decimal digits for values of exact expressions
_EXACT, _ROUNDED = Fraction(1, 10**30), Fraction(1, 10**9)  # relative: without and with decimals in the expression
_LARGEST_SET = 24  # parts that are matched in any order


def same(a: Value, b: Value) -> bool:
    """Whether the value of an answer is that of the gold answer."""
    a, b = (value.doit() if isinstance(value, MatrixExpr) else value for value in (a, b))
    if isinstance(a, Eq) and isinstance(b, Eq) and not (a.free_symbols and b.free_symbols):
        return same(a.lhs, b.lhs) and same(a.rhs, b.rhs)  # e = 1/2: no equation to solve
    if isinstance(a, Eq) and isinstance(b, Eq) and _multiples(a, b):
        return True
    by_parts = _by_parts(a, b)
    if by_parts is not None:
        return by_parts
    if isinstance(a, Expr) and isinstance(b, Expr):
        by_value = _by_value(a, b)
        if by_value is not None:
            return by_value
    right = bool(verify(b, a, timeout_seconds=None, allow_set_relation_comp=True))
    return right and not (isinstance(a, Eq) and isinstance(b, Eq) and _both_empty(a, b))


def _multiples(a: Eq, b: Eq) -> bool:
    """Whether two polynomial equations are the same up to a factor. A gold answer that is solved (x = 2) wants more."""
    if not all(isinstance(side, Expr) and not side.has(oo, -oo, zoo, nan) for side in (a.lhs, a.rhs, b.lhs, b.rhs)):
        return False
    unknown = sorted(a.free_symbols, key=str)
    if a.free_symbols != b.free_symbols or isinstance(b.lhs, Symbol) or isinstance(b.rhs, Symbol):
        return False
    sides = [one.lhs - one.rhs for one in (a, b)]
    if not all(side.is_polynomial(*unknown) for side in sides):
        return False
    p, q = (Poly(side, *unknown) for side in sides)
    if p.is_zero or p.monoms() != q.monoms():
        return False
    first, *ratios = (simplify(one / other) for one, other in zip(p.coeffs(), q.coeffs(), strict=True))
    return all(simplify(ratio - first) == 0 for ratio in ratios)


def _by_parts(a: Value, b: Value) -> bool | None:
    """Sets, tuples, intervals and matrices part by part; None where one of them is none of these."""
    if isinstance(a, Interval) and isinstance(b, Interval):
        ends = (a.left_open, a.right_open) == (b.left_open, b.right_open)
        return bool(ends) and same(a.start, b.start) and same(a.end, b.end)
    if isinstance(a, MatrixBase) and isinstance(b, MatrixBase):
        return a.shape == b.shape and _allsame(a.flat(), b.flat())
    if isinstance(a, Union) and isinstance(b, Union):
        return _in_any_order(_members(a), _members(b))
    if (x := _as_set(a)) is not None and (y := _as_set(b)) is not None and (x is not a or y is not b):
        unknown = [value.free_symbols for value in (a, b) if not isinstance(value, Interval | Union)]
        return all(symbols == unknown[0] for symbols in unknown) and bool(x == y or (type(x) is type(y) and same(x, y)))
    if isinstance(a, SympySet) and isinstance(b, SympySet):
        return _in_any_order(a.args, b.args)
    p, q = _ordered_parts(a), _ordered_parts(b)
    if p is None or q is None or not (isinstance(a, Tuple | Interval) or isinstance(b, Tuple | Interval)):
        return None
    return _allsame(p, q)


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


def _allsame(a: Sequence[Value], b: Sequence[Value]) -> bool:
    return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))


def _in_any_order(a: Sequence[Value], b: Sequence[Value]) -> bool | None:
    if len(a) > _LARGEST_SET:
        return None if len(a) == len(b) else False
    return all_paired(a, b, same)


def all_paired(a: Sequence[T], b: Sequence[T], equal: Callable[[T, T], bool | None]) -> bool:
    """Whether each part of one list has one of its own in the other, in any order, and none is left."""
    left = list(b)
    for part in a:
        match = next((other for other in left if equal(part, other)), None)
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
    """Numbers by their values, expressions by their values at two points, or at ten where steps may part them; None
    where there is no finite value."""
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
