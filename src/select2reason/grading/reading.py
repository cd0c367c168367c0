r"""What an answer can be read as, in a worker: Math-Verify's LaTeX parser, after what it stumbles over is set right.

Only workers import this module: it loads SymPy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from latex2sympy2_extended import NormalizationConfig  # type: ignore[import-untyped]
from math_verify import LatexExtractionConfig, parse
from sympy import Basic, MatrixBase  # type: ignore[import-untyped]

from select2reason.grading.numbers import UNIT_NAMES, different_units

Value: TypeAlias = Any  # of SymPy, which has no types: a Basic or a matrix

_LATEX = LatexExtractionConfig(
    normalization_config=NormalizationConfig(units=False, malformed_operators=True, nits=True, boxed="none")
)

_SENTENCE = re.compile(r"(?:(?<![\\a-zA-Z{])[a-zA-Z]{2,}[,:;]?\s+){3}")
_SEVERAL = re.compile(r"\$|\\\(|\\\[|\\boxed|\\begin\{align")
_LEFT_SIDE = re.compile(r"^[^=<>]{1,30}=(?=[^=]*$)")  # of an equation that cannot be read with it
_BARE_FUNCTION = re.compile(
    r"(?<![\\a-zA-Z])(?=(?:arc(?:sin|cos|tan)|(?:sin|cos|tan)h?|cot|sec|csc|ln|log|exp|pi)(?![a-zA-Z{]))"
)
_INLINE = re.compile(r"(?<![\w.}^_])(\d+)\s*/\s*(\d+)(?=\s+(?:\\[a-zA-Z]|[a-zA-Z(]))")  # 8/3 ln 3, not 8/3x
_JOINED = re.compile(r"(?:\s*,)*\s*(?:\\text\{\s*,?\s*(?:and|or|和|或)\s*\}|\b(?:and|or)\b)\s*(?:,\s*)*")
_TEN_TO = re.compile(r"(?<=\d)[eE]([+-]?\d{1,3})(?![\w.])")
_BESIDE_BINOMIAL = re.compile(r"(?<=[\d)}])\s*(?=\\binom)")  # read as a sum where nothing stands between
_MEMBER = re.compile(r"^[a-zA-Z] ?\\in ?(?=[(\[])")
_TRIG = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_OF_DEGREES = re.compile(
    r"(\\?(?:sin|cos|tan|cot|sec|csc)(?:\s*\^\s*(?:\{\s*\d\s*\}|\d))?)\s*(\d+(?:\.\d+)?)\s*\^\\circ"
)
_DEGREES = re.compile(r"(\d+(?:\.\d+)?|(?<=[ ({])[a-zA-Z])\s*\^\\circ")
_ANGLE = re.compile(r"([^,;°]+?)\s*\^\\circ")
_NAMES = "|".join(name for name in UNIT_NAMES if name.isascii() and name.isalpha() and len(name) > 1)
_NO_UNIT = "and|or|not|no|none|more|less|hundred|thousand|million|billion|trillion"
_UNIT = re.compile(
    rf"""(?<=[\d}})a-zA-Z!])\s*(?:\\text\{{(?![^{{}}]*\b(?:{_NO_UNIT})\b)\s*(?:[^{{}}]{{2,}}|[msghlL])\}}
    | \s(?:square\ |cubic\ |sq\.?\ )?(?:{_NAMES}|units?)s?
    | \s?\\Omega | \^\\circ)(?:\s*\^\s*(?:\d|\{{-?\d\}}))?(?=\s*(?:,|\\?\}}|\)|\]|$))""",
    re.VERBOSE,
)


@lru_cache(maxsize=4096)  # a gold is met once for each sampled answer
def read(tidied: str, raw: str) -> list[Value]:
    """What the answer can be read as: SymPy values, none where it cannot be read."""
    if raw and (_SENTENCE.search(tidied) or _SEVERAL.search(tidied)):
        return _values(parse(raw, parsing_timeout=None, fallback_mode="no_fallback"))
    return read_whole(tidied) or _parsed(_LEFT_SIDE.sub("", _bare(tidied)))


def read_whole(tidied: str) -> list[Value]:
    """What the answer can be read as without leaving out its left side."""
    return _parsed(_bare(tidied))


def left_side(tidied: str) -> str:
    """What stands before the only equals sign, "" where there is none."""
    found = _LEFT_SIDE.match(tidied)
    return found.group() if found else ""


def _bare(tidied: str) -> str:
    return _UNIT.sub("", _in_radians(_MEMBER.sub("", tidied))).strip() or tidied


@lru_cache(maxsize=4096)
def _parsed(latex: str) -> list[Value]:
    return _values(parse(f"${_with_commas(latex)}$", [_LATEX], parsing_timeout=None, fallback_mode="no_fallback"))


def _in_radians(tidied: str) -> str:
    """Degrees within a sine and the like as what they are; elsewhere they are a unit, and go with the others."""
    if not _TRIG.search(tidied):
        return tidied
    return _DEGREES.sub(r"{(\\frac{\1\\pi}{180})}", _OF_DEGREES.sub(r"\1(\\frac{\2\\pi}{180})", tidied))


def same_angle(given: str, gold: str) -> tuple[str, str]:
    """Both in radians, where one is in degrees and the other holds pi."""
    a, b = (_ANGLE.fullmatch(text) for text in (given, gold))
    if a and not b and r"\pi" in gold:
        return rf"\frac{{({a[1]})\pi}}{{180}}", gold
    if b and not a and r"\pi" in given:
        return given, rf"\frac{{({b[1]})\pi}}{{180}}"
    return given, gold


def units_differ(given: str, gold: str) -> bool:
    """Whether formulas bear units at their ends that are known to differ."""
    a, b = (list(_UNIT.finditer(text)) for text in (given, gold))
    ends = [some[-1] for some, text in ((a, given), (b, gold)) if some and some[-1].end() == len(text)]
    return len(ends) == 2 and different_units(*(re.sub(r"\\text|[{}]", "", end.group()).lower() for end in ends))


def _with_commas(latex: str) -> str:
    r"""`\text{and}` and `\text{or}` become commas, as Math-Verify reads lists, and `sin x` becomes `\sin x`."""
    latex = _TEN_TO.sub(r"\\cdot10^{\1}", _BESIDE_BINOMIAL.sub(r"\\cdot ", latex))
    latex = _INLINE.sub(r"\\frac{\1}{\2}", _BARE_FUNCTION.sub(r"\\", latex))
    return _JOINED.sub(",", latex)


def _values(parsed: Sequence[object]) -> list[Value]:
    return [value for value in parsed if isinstance(value, Basic | MatrixBase)]


def may_be_formula(tidied: str) -> bool:
    return bool(re.search(r"[\\^_=]", tidied)) and not _SENTENCE.search(tidied)


# --- words around formulas ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of an answer outside its formulas, and the formulas, each in order."""

    words: tuple[str, ...]
    formulas: tuple[str, ...]


_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(.+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_WORD = re.compile(r"\b(?!(?:and|or)\b)[^\W\d_\u4e00-\u9fff]{2,}|(?![和或与])[\u4e00-\u9fff]", re.IGNORECASE)
_LONGEST_SENTENCE = 300  # characters; a longer text is no answer but an explanation
_OUTSIDE = re.compile(r"\\(?:text|mathrm|textbf|quad|qquad|left|right)(?![a-zA-Z])")


def words_around(raw: str) -> Sentence:
    """What is said around the formulas of an answer; no words where no formula is marked, or figures stand beside."""
    if len(raw) > _LONGEST_SENTENCE:
        return Sentence((), ())
    formulas = tuple(next(part for part in found.groups() if part is not None) for found in _FORMULA.finditer(raw))
    outside = _OUTSIDE.sub(" ", _FORMULA.sub(" ", raw))
    if not formulas or re.search(r"[\d\\$]", outside):
        return Sentence((), ())
    return Sentence(tuple(word.lower() for word in _WORD.findall(outside)), formulas)
