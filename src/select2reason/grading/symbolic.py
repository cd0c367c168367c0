r"""Right or wrong by meaning, in a worker: an answer is taken apart as far as it has parts, and each compared by value.

Sentences by their words and formulas, families by what their integers are in, named values by name, ratios crosswise,
lists by how many parts they have, equations with their conditions; what is left is read (`reading`) and compared
(`values`). Only workers import this module: it loads SymPy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from select2reason.grading import parts
from select2reason.grading.numbers import read_number
from select2reason.grading.parts import Part
from select2reason.grading.reading import (
    left_side,
    may_be_formula,
    read,
    read_whole,
    same_angle,
    units_differ,
    words_around,
)
from select2reason.grading.rules import decide
from select2reason.grading.tidy import key, tidy
from select2reason.grading.values import all_paired, same

Told: TypeAlias = bool | Literal["next"] | None  # what one way of comparing tells; "next": it does not apply

_LONGEST_FORMULA, _LONGEST_ANSWER = 150, 300  # characters; beyond them it is prose


def compare(given: str, gold: str, *, given_raw: str, gold_raw: str) -> bool | None:
    """Whether the tidied answer means the same as the tidied gold; None where the gold, or a formula, is unreadable.

    The raw texts are read where an answer is a sentence, or holds several formulas.
    """
    told = _by_sentence(given, gold, given_raw, gold_raw)
    for way in _WAYS if max(len(given), len(gold)) <= _LONGEST_ANSWER else ():
        if told != "next":
            return told
        told = way(given, gold)
    return _whole(*_without_names(given, gold), given_raw, gold_raw) if told == "next" else told


def _by_brackets(given: str, gold: str) -> Told:
    return False if _brackets_differ(given, gold) else "next"


_DANGLING = re.compile(r"^(?:\\[lg]e(?![a-zA-Z])|[<>])|[-+]$")


def _by_ends(given: str, gold: str) -> Told:
    """At least 3 is not 3, and 5+ is not 5: the parser drops a sign that has but one side."""
    return False if bool(_DANGLING.search(given)) != bool(_DANGLING.search(gold)) else "next"


def _by_modulus(given: str, gold: str) -> Told:
    (of_given, a), (of_gold, b) = parts.modulus(given), parts.modulus(gold)
    if not a and not b:
        return "next"
    return _alone(of_given, of_gold) if not a or not b or a == b else False


def _by_family(given: str, gold: str) -> Told:
    """k pi, k in Z: the family, and what its integer is in, where both say so."""
    (of_given, given_in), (of_gold, gold_in) = parts.of_integers(given), parts.of_integers(gold)
    if not given_in and not gold_in:
        return "next"
    return _alone(of_given, of_gold) if not given_in or not gold_in or given_in == gold_in else None


def _by_ratio(given: str, gold: str) -> Told:
    a, b = parts.ratio(given), parts.ratio(gold)
    if not a or not b:
        return "next"
    crossed = [(rf"({x})\cdot({b[0]})", rf"({y})\cdot({a[0]})") for x, y in zip(a, b, strict=False)]
    return len(a) == len(b) and _all_true(_alone(x, y) for x, y in crossed)


def _by_number_of_parts(given: str, gold: str) -> Told:
    """Lists as often as they say; and units that are known to differ."""
    if parts.several_differ(given, gold) or units_differ(given, gold):
        return False
    lists = parts.repeated(given, gold)
    return all_paired(*lists, _alone) if lists else "next"


def _by_condition(given: str, gold: str) -> Told:
    (of_given, given_if), (of_gold, gold_if) = parts.condition(given), parts.condition(gold)
    if not given_if and not gold_if:
        return "next"
    return _all_true([bool(given_if and gold_if) and _alone(given_if, gold_if), _alone(of_given, of_gold)])


def _alone(given: str, gold: str) -> bool | None:
    """A part by itself, as if it were the whole answer."""
    verdict = decide(given, gold)
    return compare(given, gold, given_raw="", gold_raw="") if verdict is None else verdict


def _all_true(verdicts: Iterable[bool | None]) -> bool | None:
    told = list(verdicts)
    return False if False in told else None if None in told else True


_LIMITING = {
    "not", "no", "never", "except", "without", "than", "least", "most", "more", "less", "fewer", "greater", "larger",
    "smaller", "between", "up", "all", "any", "every", "不", "非", "至", "除", "大", "小", "多", "少",
}  # fmt: skip


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
    if _LIMITING & set(some.words):
        return None
    other = gold if a.words else given
    told = [_alone(*((tidy(x), other) if a.words else (other, tidy(x)))) for x in some.formulas]
    return told[0] if len(told) == 1 else False if set(told) == {False} else None


def _by_named_parts(given: str, gold: str) -> Told:
    """x = 2, y = 3 part by part, by name or in order."""
    matched = parts.pairs(given, gold)
    if matched is None:
        return "next"
    return matched if isinstance(matched, bool) else _all_true(_alone(*_renamed(a, b)) for a, b in matched)


_WAYS: tuple[Callable[[str, str], Told], ...] = (
    _by_brackets,
    _by_ends,
    _by_modulus,
    _by_family,
    _by_named_parts,
    _by_ratio,
    _by_number_of_parts,
    _by_condition,
)


_TUPLE_NAME = re.compile(r"^\((?:[a-zA-Z](?:_\w)?\s*,?\s*)+\)\s*=\s*(?=\()")


def _without_names(given: str, gold: str) -> tuple[str, str]:
    """f(x) = 1 is 1, and f(x) = 1, f(x) = x is 1, x; but not where the two sides name different things."""
    a, b = (parts.same_list(_TUPLE_NAME.sub("", text)) for text in (given, gold))
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
    if given.endswith("%") != gold.endswith("%"):  # 12 1/3 % for 12 1/3: the unit left out
        return _whole(given.rstrip("% "), gold.rstrip("% "), "", "")
    given, gold = same_angle(given, gold)
    lefts = key(left_side(given)), key(left_side(gold))
    if all(lefts) and lefts[0] != lefts[1] and not (read_whole(given) and read_whole(gold)):
        return None  # P(A) = 1/2 for P(B) = 1/2: names that are not understood
    expected, answers = read(gold, gold_raw), read(given, given_raw)
    if not expected:
        return None
    if not answers:
        return None if may_be_formula(given) and read_number(gold) is None else False
    if any(same(answer, value) for answer in answers for value in expected):
        return True if _complete(given, gold) else None
    derived = _DERIVATIVE.search(given) or _DERIVATIVE.search(gold)
    return None if derived and read_number(given) is None and read_number(gold) is None else False


_DERIVATIVE = re.compile(r"\\d+ot(?![a-z])|''|\\frac\{d\^?|\\prime\s*\\prime")  # in equations that are not understood
_LOST = re.compile(
    r"'|\^\s*(?:\{\s*)?(?:T|\\top)(?![a-zA-Z])|\^\s*(?:\{\s*)?\*|\\(?:gcd|lcm|deg|dim|max|min|operatorname)(?![a-z])"
)


def _complete(given: str, gold: str) -> bool:
    """Whether there is nothing that the LaTeX parser drops: primes, transposes, functions that it does not know, sets
    with what their elements are in."""
    if max(len(given), len(gold)) > _LONGEST_FORMULA:  # words, with their own apostrophes
        return True
    return not any(_LOST.search(text) or (r"\{" in text and r"\in" in text) for text in (given, gold))


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
