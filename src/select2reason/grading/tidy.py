r"""One way of writing each answer: the same answer in another typesetting becomes the same text.

Only typesetting is touched here: no bracket, sign, letter or digit that could change the value is dropped.
"""

from __future__ import annotations

import re

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_SUBSCRIPTS = {ord(char): f"_{{{digit}}}" for digit, char in enumerate("₀₁₂₃₄₅₆₇₈₉")}
_SUPERSCRIPTS = {ord(char): f"^{{{digit}}}" for digit, char in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_SYMBOLS: dict[str, str] = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "÷": "/", "π": r"\pi ", "∞": r"\infty ",
    "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ",
    "√": r"\sqrt ", "∛": r"\sqrt[3]", "°": r"^\circ ", "θ": r"\theta ", "∅": r"\emptyset ",
    "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}",
    "⅕": r"\frac{1}{5}", "⅙": r"\frac{1}{6}", "⅛": r"\frac{1}{8}", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}",
    "⟨": "(", "⟩": ")", "．": ".", "。": ".", "、": ",", "“": '"', "”": '"', "\u00a0": " ", "\u3000": " ",
}  # fmt: skip
_CHARACTERS: dict[int, int | str] = {
    **{code: " " for code in (*range(32), 127)},
    **_FULL_WIDTH,
    **_SUBSCRIPTS,
    **_SUPERSCRIPTS,
    **{ord(char): latex for char, latex in _SYMBOLS.items()},
}
_CJK_COMMA = str.maketrans("，；：", ",;:")

_ROOT = re.compile(r"([√∛])\s*(?:\(([^()]*)\)|(\d+(?:\.\d+)?))")
_NEGATIVE_POWER = re.compile("⁻([⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_BARE_LIST = re.compile(r"\s*\$[^$]+\$(?:\s*+(?:,|;|and|or|和|或|与)?\s*\$[^$]+\$)+\s*\.?")
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z]{2})")  # a backslash escaped once too often; in a matrix it ends a row
_STEPS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|bigg?[lr]?|Bigg?[lr]?)(?![a-zA-Z])\s*\.?(?=[^a-zA-Z\s.]|\\)", ""),
        (r"\\(?:displaystyle|textstyle|limits|nolimits)(?![a-zA-Z])", ""),
        (r"(?<=\d)\s*,\s*(?:\\[,!;: ]\s*)+(?=\d{3}(?!\d))", ","),
        (r"(?<!\\)\\!\s*", ""),
        (r"(?<=\d)(\}?\s+|)\{~\s*([a-zA-Z]{2,}|[mgsVWNJKACFHL])\}", r"\1\\text{ \2}"),  # a unit whose command was lost
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
        (r"\\frac\s*(\\pi|\d|\s[a-zA-Z])\s*(\\pi(?![a-zA-Z])|\d|[a-zA-Z](?![a-zA-Z]))", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\\pi|[a-zA-Z\d])\s*(?=\{)", r"\\frac{\1}"),
        (r"(\\frac\{[^{}]*\})\s*(\d)", r"\1{\2}"),
        (r"\\sqrt\s*(\d)", r"\\sqrt{\1}"),
        (r"\^\s*-\s*(\d+)", r"^{-\1}"),
        (r"\\text\{ ?([eid]|\\pi) ?\}", r"\1"),
        (
            r"\\(?:vec|overrightarrow|boldsymbol|bm)\s*(?:\{\s*(\\?[a-zA-Z]{1,7})\s*\}|\s([a-zA-Z])(?![a-zA-Z]))",
            r"\1\2",
        ),
        (r"^\\text\{\s*\}[\s,]*", ""),
        (r"^\[ ?'([^']*)' ?\]$", r"\1"),
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"\\not\s*=", r"\\ne "),
        (r"\\colon(?![a-zA-Z])", ":"),
        (r"\\lg(?![a-zA-Z])", r"\\log_{10}"),
        (r"\\text\{ ?C ?\}(?=_)", "C"),
        (r"_\{\((\w+)\)\}", r"_{\1}"),
        (r"\\frac\s+(?=\{)", r"\\frac"),
        (r"(\\frac\{[^{}]*\})\s+(?=\{)", r"\1"),
        (r"(\\frac\{[^{}]*\})\s*([a-zA-Z])(?![a-zA-Z])", r"\1{\2}"),
        (r"(?<=[\w)])\*\*(?=[\w(])", "^"),
        (r"\.(\d*)\\dot\{?(\d)\}?(?:(\d*)\\dot\{?(\d)\}?)?$", r".\1\\overline{\2\3\4}"),
        (r"\.(\d*?)(\d)\2{2,}(?:\.\.\.|…|\\l?dots|\\cdots)$", r".\1\\overline{\2}"),
        (r"^\((\w+)\)(?=_)", r"\1"),
        (r"^(\d+) (?:in |\\text\{ ?)?base ?(?:\})?(\d+)$", r"\1_{\2}"),
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
    text = _ROOT.sub(lambda root: rf"\sqrt{'[3]' if root[1] == '∛' else ''}{{{root[2] or root[3]}}}", text)
    text = _NEGATIVE_POWER.sub(lambda power: "^{-" + "".join(str("⁰¹²³⁴⁵⁶⁷⁸⁹".index(n)) for n in power[1]) + "}", text)
    if text.count("$") > 1 and r"\$" not in text and (text.count("$") % 2 or _BARE_LIST.fullmatch(text)):
        text = text.replace("$", "")  # one was forgotten, or nothing but "," and "or" stands between
    text = text.translate(_CHARACTERS).translate(_CJK_COMMA)
    text = _unwrapped(text)
    if r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    text = text.replace("\\" * 4, "\\" * 2)  # the same of a row's end
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    text = _CHOOSE.sub(_binomial, text)
    return _unwrapped(text)


_CHOOSE = re.compile(r"(?<![a-zA-Z\\])C_(?:\{(\w+)\}|(\w))\s?\^(?:\{(\w+)\}|(\w))(?![a-zA-BD-Z\d(])")


def _binomial(found: re.Match[str]) -> str:
    """C_n^k as a binomial; C_1^2 is a constant squared."""
    n, k = found[1] or found[2], found[3] or found[4]
    return rf"\binom{{{n}}}{{{k}}}" if not (n.isdigit() and k.isdigit()) or int(n) >= int(k) > 0 else found.group()


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
                bare = inside.replace(r"\$", "")
                text = inside if opening not in bare and closing not in bare else text
    return text
