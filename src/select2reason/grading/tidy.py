r"""One way of writing each answer: the same answer in another typesetting becomes the same text.

Only typesetting is touched here: no bracket, sign, letter or digit that could change the value is dropped.
"""

from __future__ import annotations

import re

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_SUPERSCRIPTS = {ord(char): f"^{{{digit}}}" for digit, char in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_SYMBOLS: dict[str, str] = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "÷": "/", "π": r"\pi ", "∞": r"\infty ",
    "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ",
    "√": r"\sqrt ", "°": r"^\circ ", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "。": ".", "、": ",", "“": '"', "”": '"', "\u00a0": " ", "\u3000": " ", "θ": r"\theta ", "∅": r"\emptyset ",
}  # fmt: skip
_CHARACTERS: dict[int, int | str] = {
    **{code: " " for code in (*range(32), 127)},
    **_FULL_WIDTH,
    **_SUPERSCRIPTS,
    **{ord(char): latex for char, latex in _SYMBOLS.items()},
}
_CJK_COMMA = str.maketrans("，；：", ",;:")

_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z]{2})")  # a backslash escaped once too often; in a matrix it ends a row
_STEPS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|bigg?[lr]?|Bigg?[lr]?)(?![a-zA-Z])\s*\.?(?=[^a-zA-Z\s.]|\\)", ""),
        (r"\\(?:displaystyle|textstyle|limits|nolimits)(?![a-zA-Z])", ""),
        (r"(?<=\d)\s*,\s*(?:\\[,!;: ]\s*)+(?=\d{3}(?!\d))", ","),
        (r"(?<!\\)\\!\s*", ""),
        (r"(?<!\\)\\[,;: ]|~|\\q?quad(?![a-zA-Z])|\\(?:h|v)space\{[^{}]*\}", " "),
        (r"\{\s*,\s*\}", ","),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:text(?:rm|bf|it|normal|sf|tt|up)?|math(?:rm|bf|it|sf|tt)|mbox|operatorname)\s*\{", r"\\text{"),
        (r"\{\\(?:rm|bf|it)\s+", r"{"),
        (r"\\(?:leq|leqslant)(?![a-zA-Z])", r"\\le"),
        (r"\\(?:geq|geqslant)(?![a-zA-Z])", r"\\ge"),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\neq(?![a-zA-Z])", r"\\ne"),
        (r"\\(?:lbrace|\{)", r"\\{"),
        (r"\\(?:rbrace|\})", r"\\}"),
        (r"\\(?:lbrack)(?![a-zA-Z])", "["),
        (r"\\(?:rbrack)(?![a-zA-Z])", "]"),
        (r"\\(?:varnothing)(?![a-zA-Z])", r"\\emptyset"),
        (r"\\(?:degree|degrees)(?![a-zA-Z])|\^\s*\{\s*\\circ\s*\}", r"^\\circ"),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
        (r"(\\frac\{[^{}]*\})\s*(\d)", r"\1{\2}"),
        (r"\\sqrt\s*(\d)", r"\\sqrt{\1}"),
        (r"\\%", "%"),
        (r"\\\$", "$"),
        (r"\\#", "#"),
        (r"(?<=\d)\((?=\d+(?:\.\d+)?\))", r"\\cdot("),
        (r"\b(?:np|numpy|math|sympy|sp)\.(?=[a-z])", ""),
        (r"^\\?\{ ?([a-zA-Z]) ?(?:\||\\mid(?![a-zA-Z])|:) ?([^=,:|]+?)\\?\}$", r"\2"),
        (r"^\\?\{ ?([a-zA-Z]) ?(?:\||\\mid(?![a-zA-Z])|:) ?\1 ?= ?", r"\\{"),
        (r"(?<=[a-zA-Z0-9}]) ?(?:\||\\mid(?![a-zA-Z])) ?(?=[a-zA-Z] ?\\in)", r","),
        (r"^([^$]*\d) ?\$([^$]*)\$$|^\$([^$]+)\$ ?([a-z]+)$", r"\1\3 \2\4"),
        (r"\s+", " "),
    )
)
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"), ('"', '"'))


def tidy(text: str) -> str:
    """The text in the common writing: LaTeX commands, ASCII signs, single spaces, no delimiters around the whole."""
    text = text.translate(_CHARACTERS).translate(_CJK_COMMA)
    text = _unwrapped(text)
    if r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    return _unwrapped(text)


def key(tidied: str) -> str:
    """Without the spaces that no reader sees: equal keys are equal answers."""
    tidied = re.sub(r"([_^])\s*\{\s*(\w)\s*\}", r"\1\2", tidied)
    return re.sub(r"(?<![0-9a-zA-Z]) | (?![0-9a-zA-Z])", "", tidied)


def without_text(tidied: str) -> str:
    r"""The words of `\text{...}` set bare."""
    return re.sub(r"\\text\{([^{}]*)\}", r" \1 ", tidied).strip()


def _unwrapped(text: str) -> str:
    """Without what stands around the whole: math delimiters, bold marks, quotes, a full stop."""
    before = None
    while text != before:
        before, text = text, text.strip().rstrip(",;").strip()
        if text.endswith(".") and not text.endswith(".."):
            text = text[:-1]
        for opening, closing in _DELIMITERS:
            inside = text[len(opening) : -len(closing)]
            if len(text) > len(opening + closing) and text.startswith(opening) and text.endswith(closing):
                text = inside if opening not in inside and closing not in inside else text
    return text
