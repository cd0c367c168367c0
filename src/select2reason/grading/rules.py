r"""What can be decided by reading alone, in the parent: no answer, no gold, same text, numbers, choices, words.

Each rule gives True or False where it is sure, and None where the symbolic comparison must decide.
"""

from __future__ import annotations

import re
from functools import lru_cache

from select2reason.grading.numbers import read_number, same_number
from select2reason.grading.parts import chain, statements
from select2reason.grading.tidy import key, without_text

_NO_GOLD = {
    "",
    "proof",
    "notfound",
    "not found",
    "no answer",
    "n/a",
    "na",
    "nan",
    "null",
    "?",
    "-",
    "...",
    "unanswerable",
}


def is_gold(text: str | None) -> bool:
    """Whether the text is a gold answer at all, and not a blank or what data sets write in place of one."""
    return text is not None and text.strip() != "None" and without_text(text).strip(" $.").lower() not in _NO_GOLD


def meant(given: str, gold: str) -> str:
    """What a tidied answer is to be compared with: of a gold "C. 12" the label, or the text where the answer is one."""
    labelled = _labelled(gold)
    if labelled is None:
        return gold
    letter, text = labelled
    return letter if _bare_letters(given) else text


def unlabelled(given: str, gold: str) -> str:
    """An answer without its label, where the gold answer has none and is no choice: "(C) 12" for 12."""
    labelled = _labelled(given)
    return given if labelled is None or _letters(gold) is not None or _labelled(gold) else labelled[1]


def labels_differ(given: str, gold: str) -> bool | None:
    """Of two answers that both begin with a label, whether the labels differ; None where not both do."""
    a, b = _labelled(given), _labelled(gold)
    return None if a is None or b is None else a[0] != b[0]


@lru_cache(maxsize=4096)  # a gold is met once for each sampled answer
def _labelled(tidied: str) -> tuple[str, str] | None:
    """The letter of a choice and its text, of an answer such as "C. 12"; None of any other."""
    plain = without_text(tidied)
    found = _LABEL_AND_TEXT.match(plain)
    return ((found[1] or found[2] or found[3]).upper(), plain[found.end() :]) if found else None


def decide(given: str, gold: str) -> bool | None:
    """Whether a tidied answer is right, where reading alone can tell; None where it cannot."""
    if not given:
        return False
    if key(_undecorated(given)) == key(_undecorated(gold)):
        return True
    for rule in (
        statements,
        _chains,
        _lists_of_thousands,
        _assignments,
        _decimal_comma,
        _numbers,
        _choices,
        _bases,
        _clocks,
        _words,
    ):
        verdict = rule(given, gold)
        if verdict is not None:
            return verdict
    return None


_DECORATION = re.compile(
    r"\\(?:overline|angle|triangle|vec|overrightarrow)(?![a-zA-Z])\s*\{?\s*([A-Z]{1,3}(?:'|\b))\s*\}?$"
)
_ASSIGNED = re.compile(r"([a-zA-Z](?:_(?:\w|\{\w+\})|\([a-z]\))?)\s*=\s*(?=[^=<>]*$)")


def _undecorated(tidied: str) -> str:
    r"""`\overline{AB}` and `\triangle ABC` are AB and ABC."""
    found = _DECORATION.fullmatch(tidied)
    return found[1] if found else tidied


def _assignments(given: str, gold: str) -> bool | None:
    """x = 5 is 5; x = 5 is not y = 5."""
    a, b = _ASSIGNED.match(given), _ASSIGNED.match(gold)
    if a and b:
        return None if a[1] == b[1] or read_number(given) is None or read_number(gold) is None else False
    if a or b:
        same = key(given[a.end() if a else 0 :]) == key(gold[b.end() if b else 0 :])
        return True if same else None
    return None


def _chains(given: str, gold: str) -> bool | None:
    """c < a < b is b > a > c."""
    a, b = chain(given), chain(gold)
    return True if a and a == b else None


_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_LIST = re.compile(r"\d+(?:(?:,\s+|\$\s*,\s*\$)\d+)+")


def _lists_of_thousands(given: str, gold: str) -> bool | None:
    """48,384 may be one number or two; beside a list with spaces it is a list, in any order."""
    for one, other in ((given, gold), (gold, given)):
        if _LIST.fullmatch(one.strip("$")) and (_THOUSANDS.fullmatch(other) or _LIST.fullmatch(other.strip("$"))):
            a, b = (sorted(re.findall(r"\d+", text)) for text in (one, other))
            return a == b
    return None


def _numbers(given: str, gold: str) -> bool | None:
    a, b = read_number(given), read_number(gold)
    return same_number(a, b) if a is not None and b is not None else None


_COMMA_DECIMAL = re.compile(r"-?\d+,(?:\d{1,2}|\d{4,})")


def _decimal_comma(given: str, gold: str) -> bool | None:
    """1000,99 is 1000.99: a decimal comma, told from a list by the other side's point."""
    for one, other in ((given, gold), (gold, given)):
        if _COMMA_DECIMAL.fullmatch(one) and one.replace(",", ".") == other:
            return True
    return None


# --- multiple choice ------------------------------------------------------------------------------------------------


_LABEL = r"(?:[A-K]|\([A-Ka-k]\)|[A-Ka-k](?=[.):]))[.):]*"
_GOLD_CHOICE = re.compile(rf"(?:{_LABEL})(?:[\s,;]*(?:and\s+)?{_LABEL})*|\(\s*[A-K](?:\s*,\s*[A-K])*\s*\)|[A-H]{{2,8}}")
_LED_IN = re.compile(
    r"^(?:the\s+)?(?:correct\s+)?(?:options?|choices?|answers?|选项|答案|选)\s*(?:is|are|[:：是])?\s*", re.IGNORECASE
)
_LED_OUT = re.compile(r"\s+(?:is|are)\s+(?:the\s+)?(?:correct|right)(?:\s+(?:answer|option|choice)s?)?$", re.IGNORECASE)
_LABEL_AND_TEXT = re.compile(
    r"(?:\(([A-Ka-k])\)\s*|([A-K])[.)]\s+|([A-K]):\s+)(?=[\w$\\{(-])(?!\s*[,;]?\s*\(?[A-K]\b)(?!.*\b[A-K][.:)])(?!is\b)"
)

_CHOICE_SAID = re.compile(  # "option **C** (98 W)", "B:64g", "D) '(0, 3)", "a colloid (C)", "23 weeks (option C)"
    r"""(?:(?:the\s+)?(?:correct\s+)?(?:option|choice|বিকল্প|অপশন)s?\s*)?[*\s'"]*
        (?:([A-K])(?:[*'"]+\s*|\s+)\( | ([A-K])[*\s'"]*(?:[:।]|[.)](?!\w)|$) | \(([A-K])\)(?=[\s*.:।]|$))
      | .*[\s*]\((?:[Oo]ption\s+|[Cc]hoice\s+)?([A-K])\)[\s*.।]*$""",
    re.VERBOSE,
)
_ANOTHER_CHOICE = re.compile(  # not the units of "980 J" and "-273°C"
    r"(?<![A-Za-z°])(?<!\d)(?<!\d\s)(?<!\\circ\s)[A-K](?![A-Za-z'(])|\b(?:not|neither|nor|none|false|incorrect|wrong)\b"
)
_ITS_TEXT = re.compile(r"(?<=:)[\s*'\"]*[A-K](?=\**\s+\()")  # "D: K (potassium)"


def _choices(given: str, gold: str) -> bool | None:
    expected = _letters(gold)
    if expected is None:
        return None
    letters = chosen(given)
    if letters is None and len(expected) == 1:
        letters = _said_choice(given)
    if letters is not None:
        return letters == expected
    return False if len(expected) == 1 and read_number(given) is not None else None


def _said_choice(given: str) -> str | None:
    """The letter of an answer that is a choice and what it says; None where it may be about another one."""
    said = _CHOICE_SAID.match(given)
    if said is None:
        return None
    letter = str(said[said.lastindex or 1])
    rest = _ITS_TEXT.sub("", given, count=1)
    return None if any(found != letter for found in _ANOTHER_CHOICE.findall(rest)) else letter


def chosen(given: str) -> str | None:
    """The letters that a tidied answer chooses, with or without the choice's text; None where it is no choice."""
    letters = _bare_letters(given)
    led = _labelled(given) if letters is None else None
    return led[0] if led else letters


def _bare_letters(given: str) -> str | None:
    """The letters of an answer that is nothing but these; a single one may be small."""
    return _letters(given) or _letters(given.upper() if len(given) == 1 else "")


def _letters(tidied: str) -> str | None:
    """The letters of an answer that is nothing but choices, sorted: "A B D", "ABD", "(A), (B)" ...; else None."""
    text = _LED_IN.sub("", without_text(tidied).replace("$", "").strip()).strip("{}[] ")
    text = _LED_OUT.sub("", text)
    text = re.sub(r"\s+", " ", text)
    if not text or len(text) > 60 or not _GOLD_CHOICE.fullmatch(text):
        return None
    letters = re.findall(r"[A-K]", re.sub(r"\band\b", "", text).upper())
    return "".join(sorted(letters)) if len(set(letters)) == len(letters) else None


# --- number bases, clocks and ratios --------------------------------------------------------------------------------


_BASED = re.compile(r"(?P<digits>[0-9A-F]+)(?:_\s*(?:\{\s*(?:\\text\{)?\s*(?P<b1>\w+)\s*\}?\s*\}|(?P<b2>\d{1,2})))?")


def _bases(given: str, gold: str) -> bool | None:
    """Digits with a base: the same digits, in the same base or in one that is not named."""
    a, b = _BASED.fullmatch(given.replace(" ", "")), _BASED.fullmatch(gold.replace(" ", ""))
    if not a or not b or "_" not in given + gold:
        return None
    bases = {base for base in (a["b1"] or a["b2"], b["b1"] or b["b2"]) if base}
    return a["digits"].lstrip("0") == b["digits"].lstrip("0") and len(bases) == 1


_CLOCK = re.compile(r"(\d{1,3}):(\d{1,3})\s*(?:([ap])\.?\s?m\.?)?", re.IGNORECASE)


def _clocks(given: str, gold: str) -> bool | None:
    """a:b is a time or a ratio: the same figures, or the same ratio where it cannot be a time."""
    a, b = _CLOCK.match(without_text(given)), _CLOCK.match(without_text(gold))
    if not a or not b:
        return None
    if a.end() < len(without_text(given)) or b.end() < len(without_text(gold)):  # a date beside it, or algebra
        return False if a.groups()[:2] != b.groups()[:2] and (a[3] or b[3]) else None
    (p, q), (r, s) = ((int(m[1]), int(m[2])) for m in (a, b))
    if (p, q) == (r, s):
        return not (a[3] and b[3]) or a[3].lower() == b[3].lower()
    is_time = any(len(m[2]) == 2 and int(m[2]) < 60 and int(m[1]) < 25 for m in (a, b)) or a[3] or b[3]
    return False if is_time and (p * s != q * r or not q * s) else p * s == q * r and q * s > 0


# --- words ----------------------------------------------------------------------------------------------------------


_NOT_WORDS = re.compile(r"[\\^_=<>+*/{}|\[\]]")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}|[^\W\d_]{3,} +[^\W\d_]{3,}|[\u4e00-\u9fff]{2,}")
_SET_AS_TEXT = re.compile(r"\\text\{(?!\s*(?:and|or)\b)[^{}]*[^\W\d_]{2}")
_MATHEMATICAL = re.compile(r"\b(?:infinity|sqrt|sinh|cosh|tanh|arcsin|arccos|arctan|frac)\b", re.IGNORECASE)
_NO_MATTER = re.compile(
    r"""(?<!\d)\.|\.(?!\d) | -(?!\d) | (?<=\w)- | [^\w\s.-] | \b(?:the|an?|is|conditions?)\b | 条件 | 的""", re.VERBOSE
)
_ONE_WORD = {"yes", "no", "true", "false"}


def _words(given: str, gold: str) -> bool | None:
    """Answers in words: any case, articles and stops aside, lists in any order. Letters are never multiplied."""
    if gold.casefold() in _ONE_WORD and (first := re.match(r"[a-z]+(?=[^\w\s]|$)", without_text(given).casefold())):
        return first.group() == gold.casefold()
    expected, words = _as_words(gold), _as_words(given)
    if expected is None or words is None:
        wordy = expected is not None and not re.search(r"\d", gold)
        is_value = wordy and (read_number(given) is not None or _letters(given) is not None)
        return False if is_value else _short_words(given, gold, expected or words)
    return words == expected


def _short_words(given: str, gold: str, known: list[str] | None) -> bool | None:
    """One side is surely words, so letters alone on the other side are words too."""
    if known is None or not all(re.fullmatch(r"[^\W\d_](?:[^\W\d_]| )*", without_text(text)) for text in (given, gold)):
        return None
    return _cleaned(without_text(given)) == _cleaned(without_text(gold))


def _as_words(tidied: str) -> list[str] | None:
    """The parts of an answer made of words, without spaces, sorted; None where it is not, or might be algebra."""
    plain = without_text(tidied)
    set_as_text = _SET_AS_TEXT.search(tidied)
    if _NOT_WORDS.search(plain) or _MATHEMATICAL.search(plain) or not (set_as_text or _LONG_WORD.search(plain)):
        return None
    parts = (_cleaned(part) for part in re.split(r"[,;]|\(\d\)|\band\b|\bor\b|和|或", plain))
    return sorted(part for part in parts if part)


def _cleaned(words: str) -> str:
    """Lower case, without articles, "is", marks and spaces: "book store" is "Bookstore". Figures stay as they are."""
    words = _NO_MATTER.sub(" ", words.casefold().replace("充分必要", "充要"))
    return "".join(words.split())
