r"""Answers that are one plain number: read exactly, compared exactly. No worker, no floating point.

Two numbers are equal when they are the same rational number; 50% is 50 (the unit left out) and also 0.5. A decimal
stands for an exact value, or for a decimal with more places, where that value rounds or cuts off to it, and it has at
least four significant digits, two of them behind the point: 0.3333 is 1/3, 0.33 is not. 0.00001 is not 0.00005,
204 is not 2.04, and no tolerance is absolute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor

from select2reason.grading.tidy import without_text

_LONGEST = 400  # characters; a number beyond them is no plain one
_LARGEST_POWER = 1000
_FEWEST_DIGITS, _FEWEST_PLACES = 4, 2  # that make a decimal a rounding of something, not a guess at it
_ENOUGH_DIGITS = 6  # of an answer that is shorter than a decimal gold
_DIGITS_OF_A_FLOAT = 14  # at least, where binary arithmetic leaves its noise
_NOISE = Fraction(1, 10**12)  # relative: what binary floating point leaves in 0.30000000000000004


@dataclass(frozen=True, slots=True)
class Number:
    """`places`: digits behind the point, None where it was not written as a decimal; `scientific`: with a power of ten.
    `unit`: None where none is."""

    value: Fraction
    places: int | None = None
    percent: bool = False
    unit: str | None = None
    scientific: bool = False


def same_number(given: Number, gold: Number) -> bool:
    """Whether the given number is right."""
    if given.unit and gold.unit and different_units(given.unit, gold.unit):
        return False
    if same_value(given, gold):
        return True
    if given.percent == gold.percent:
        return False
    as_share = (replace(n, value=n.value / 100, places=None) if n.percent else n for n in (given, gold))
    return same_value(*as_share)


def different_units(a: str, b: str) -> bool:
    """Whether two units are known to differ: both known by name, word by word, with their powers."""
    parts = [re.findall(r"([a-z\u4e00-\u9fff]+|\^\\circ ?[cf]?)(?:\s*\^\s*\{?\s*(-?\d))?", unit) for unit in (a, b)]
    known = [[(UNIT_NAMES.get(_unit_name(word)) or word, power) for word, power in some] for some in parts]
    named = [isinstance(number, int) or number.startswith("^") for some in known for number, _ in some]
    return known[0] != known[1] and all(named)


def same_value(given: Number, gold: Number) -> bool:
    """Whether the two values are the same, percent signs and units aside."""
    a, b = given.value, gold.value
    if a == b:
        return True
    if given.places is None and gold.places is None:
        return False
    if abs(a - b) <= _NOISE * max(abs(a), abs(b)) and max(_digits(given), _digits(gold)) >= _DIGITS_OF_A_FLOAT:
        return True
    if given.places is not None and gold.places is not None:
        if given.places > gold.places:
            return _shortens(gold, a)
        return _shortens(given, b, fewest_digits=_ENOUGH_DIGITS)
    return _shortens(given, b) if given.places is not None else _shortens(gold, a)


def _digits(decimal: Number) -> int:
    """Significant digits of a decimal, as it was written; 0 of what is none."""
    return 0 if decimal.places is None else len(str(abs(int(decimal.value * 10**decimal.places))))


def _shortens(decimal: Number, exact: Fraction, *, fewest_digits: int = _FEWEST_DIGITS) -> bool:
    """Whether the decimal is the exact value rounded or cut off at its own number of places."""
    places = decimal.places or 0
    scale = 10**places
    if places < _FEWEST_PLACES or _digits(decimal) < fewest_digits:
        return False
    scaled, target = abs(exact) * scale, abs(decimal.value) * scale
    return (exact < 0) == (decimal.value < 0) and target in (floor(scaled), floor(scaled + Fraction(1, 2)))


# --- reading --------------------------------------------------------------------------------------------------------


_PLAIN = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?:[ ]\d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+"
_FORMS = re.compile(
    rf"""(?P<sign>[-+]?)\s*[$€£¥₹]?\s*(?P<minus>-?)\s*(?:
        (?P<int>\d+)\s*\\frac\{{(?P<mt>\d+)\}}\{{(?P<mb>\d+)\}}
      | (?P<whole>\d+)\s+(?P<wt>\d+)\s*/\s*(?P<wb>\d+)
      | \\frac\{{\s*(?P<top>-?(?:{_PLAIN}))\s*\}}\{{\s*(?P<bottom>-?(?:{_PLAIN}))\s*\}}
      | (?P<num>{_PLAIN})\s*/\s*(?P<den>{_PLAIN})
      | (?P<lead>\d*\.\d*)\\overline\{{(?P<period>\d+)\}}
      | (?P<mantissa>{_PLAIN})\s*(?:(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{{\s*(?P<e1>-?\d+)\s*\}}|(?P<e2>-?\d))
          | [eE](?P<e3>[-+]?\d+))
      | (?P<base>\d+)\s*\^\s*(?:\{{\s*(?P<p1>-?\d+)\s*\}}|(?P<p2>\d))
      | (?P<plain>{_PLAIN})
    )""",
    re.VERBOSE,
)
_ASSIGNED = re.compile(r"[a-zA-Z](?:_(?:\w|\{\w+\}))?\s*(?:=|\\approx)\s*(?=[^=]*$)")
_SCALES = {
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "万": 10**4,
    "亿": 10**8,
}
_NO_UNIT_WORDS = {
    "pi",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "log",
    "ln",
    "exp",
    "inf",
    "infinity",
    "and",
    "or",
    "mod",
    "dozen",
    "dozens",
    "to",
}
_UNIT_LISTS = (
    "mm", "cm centimeter centimetre 厘米", "m meter metre 米", "km kilometer kilometre 千米 公里",
    "in inch inche", "ft foot feet 英尺", "yd yard", "mi mile",
    "g gram 克", "kg kilogram 千克 公斤", "lb pound", "oz ounce", "ml milliliter 毫升", "l liter litre 升",
    "s sec second 秒", "min minute 分钟", "h hr hour 小时", "day 天", "week 周", "month 月", "year 年",
    "cent", "dollar", "yuan 元", "unit", "degree ^\\circ 度",
)  # fmt: skip
UNIT_NAMES = {word: number for number, line in enumerate(_UNIT_LISTS, start=1) for word in line.split()}
_POWER = r"(?:\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d))*"
_WORD_UNIT = re.compile(rf"[a-zA-Z]+{_POWER}(?:[ /.·-]{{1,3}}[a-zA-Z]+{_POWER})*\.?")
_ORDINAL = re.compile(r"\s*(?:\^\s*\{?\s*)?(?:st|nd|rd|th)\b\s*\}?", re.IGNORECASE)
_CJK_UNIT = re.compile(r"(?!.*[是不非时当最为])[\u4e00-\u9fff/]{1,6}")


def read_number(tidied: str) -> Number | None:
    """The number that a tidied answer is, with or without a unit or `x =` before it; None where it is not just that."""
    if len(tidied) > _LONGEST:
        return None
    text = (
        _ASSIGNED.sub("", without_text(tidied), count=1)
        if "=" in tidied or r"\approx" in tidied
        else without_text(tidied)
    )
    text = text.strip().strip("$").strip()
    if text.startswith("(") and text.endswith(")") and "," not in text:
        text = text[1:-1].strip()
    found = _FORMS.match(text)
    if not found or not re.search(r"\d", found.group()):
        return None
    number = _value_of(found)
    return number and _with_unit(
        number, text[found.end() :], attached=found.end() < len(text) and text[found.end()] != " "
    )


def _value_of(found: re.Match[str]) -> Number | None:
    sign = -1 if (found["sign"] == "-") != (found["minus"] == "-") else 1
    try:
        number = _unsigned(found)
    except ZeroDivisionError:
        return None
    return number and replace(number, value=sign * number.value)


def _unsigned(found: re.Match[str]) -> Number | None:
    part = found.groupdict()
    if part["plain"]:
        return _plain(part["plain"])
    if part["mantissa"]:
        return _scientific(part["mantissa"], int(part["e1"] or part["e2"] or part["e3"]))
    if part["base"]:
        return _power(int(part["base"]), int(part["p1"] or part["p2"]))
    if part["period"]:
        return _repeating(part["lead"], part["period"])
    if part["int"]:
        return Number(int(part["int"]) + Fraction(int(part["mt"]), int(part["mb"])))
    if part["whole"]:
        return Number(int(part["whole"]) + Fraction(int(part["wt"]), int(part["wb"])))
    return Number(_plain(part["top"] or part["num"]).value / _plain(part["bottom"] or part["den"]).value)


def _plain(text: str) -> Number:
    text = text.replace(",", "").replace(" ", "").rstrip(".")
    behind = len(text.partition(".")[2])
    return Number(Fraction(text), behind or None)


def _scientific(mantissa: str, exponent: int) -> Number | None:
    if abs(exponent) > _LARGEST_POWER:
        return None
    number = _plain(mantissa)
    places = None if number.places is None else max(number.places - exponent, 0)
    return Number(number.value * Fraction(10) ** exponent, places, scientific=True)


def _power(base: int, exponent: int) -> Number | None:
    if not base or base.bit_length() * abs(exponent) > 8 * _LARGEST_POWER:
        return None
    return Number(Fraction(base) ** exponent)


def _repeating(lead: str, period: str) -> Number:
    whole, _, behind = lead.partition(".")
    first = Fraction(int((whole + behind) or 0), 10 ** len(behind))
    return Number(first + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(behind)))


def _with_unit(number: Number, rest: str, *, attached: bool) -> Number | None:
    """The number with the percent sign, scale word or unit behind it; None where what stands there is no unit."""
    if ordinal := _ORDINAL.match(rest):
        rest, attached = rest[ordinal.end() :], False
    rest = rest.strip().rstrip(".").strip()
    if not rest:
        return number
    lower = rest.lower()
    if lower in ("%", "percent", "percentage", "pct", "percentage points"):
        return replace(number, percent=True)
    scale, _, unit = lower.partition(" ")
    if scale in _SCALES:
        return _with_unit(replace(number, value=number.value * _SCALES[scale], places=None), unit, attached=False)
    if rest.startswith("^\\circ"):
        return replace(number, unit=rest.lower()) if re.fullmatch(r"\^\\circ ?[CF]?", rest) else None
    scientific = number.scientific and re.fullmatch(r"[a-zA-ZÅΩ\\]{1,6}", rest)
    return replace(number, unit=_unit_name(lower)) if scientific or _is_unit(rest, lower, attached) else None


def _is_unit(rest: str, lower: str, attached: bool) -> bool:
    """Units known by name; else words of three letters or more, set apart from the number: `5x`, `3 xy` are algebra."""
    if _CJK_UNIT.fullmatch(rest) or rest in ("$", "€", "£", "¥", "Å", "Ω"):
        return True
    words = re.findall(r"[a-z]+", lower)
    if not _WORD_UNIT.fullmatch(rest) or not words or len(words) > 5 or _NO_UNIT_WORDS & set(words):
        return False
    if lower in UNIT_NAMES:
        return len(lower) > 1 or not attached
    if all(_unit_name(word) in UNIT_NAMES for word in words):
        return len(words) > 1 or len(words[0]) > 1
    return not attached and max(map(len, words)) > 2


def _unit_name(lower: str) -> str:
    for name in (lower, lower.rstrip("."), lower.removesuffix("s"), lower.removesuffix("es")):
        if name in UNIT_NAMES:
            return name
    return lower
