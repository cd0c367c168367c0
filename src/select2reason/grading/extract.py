r"""The final answer of a completion: what it says outside its think block, taken from the last marker.

Markers, strongest first: `\boxed{...}` (also `\fbox`, `\boxed 5`; boxes joined by "and" are one answer), a JSON field
"answer" behind the last box, then whichever stands last of "the answer is ...", "Answer: ...", `#### ...`,
`<answer>...</answer>`, 答案 and উত্তর, then a last line that is nothing but a number, a formula or a choice, then a
choice in bold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from select2reason.tags import TAGS

_BLOCKS = (*TAGS, ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"))  # the last one: gpt-oss
_END_OF_TURN = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|end|return|end_of_text|end_of_solution)\|>|</s>|<｜end▁of▁sentence｜>"
)
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*+\n)+")  # of thousands, which a loop may write, each would be a start to try
ANOTHER_QUESTION = r"(?i)\n\s*(?:\#{1,4}\s*(?:question|instruction|problem)\s*:?\s*\n|(?:question|instruction):)"
_ANOTHER_QUESTION = re.compile(ANOTHER_QUESTION)
_QUESTIONS = 3  # looked at before the whole is
LONGEST_ANSWER = 300  # characters of one said in words; anything longer is an explanation


def final_answer(text: str) -> str | None:
    """The final answer of a completion, without its marker; None where there is none.

    Only what stands behind the last closing think tag counts, so an unfinished think block has no answer; and where a
    model that has answered goes on to ask itself another question, only what stands before that.
    """
    said = _outside_thinking(text)
    for another in islice(_ANOTHER_QUESTION.finditer(said), _QUESTIONS):
        if found := _marked(said[: another.start()]):
            return found
    found = _marked(said)
    return (_bare_line(said) or _bold_choice(said)) if found is None else found or None


def gold_answer(gold: str | None) -> str | None:
    """The answer of a gold column, which may hold a whole solution: what its last box or `####` says, else it all."""
    if gold is None:
        return None
    solution = "####" in gold or "boxed" in gold
    return (final_answer(gold) if solution else None) or gold.strip().removeprefix("# ").strip()


def _marked(said: str) -> str | None:
    """The answer of the last marker, "" where the marker says that there is none; None without any marker."""
    if field := _whole_object(said):
        return field
    boxes = list(_boxes(said))
    field = _last_field(said, start=boxes[-1].end if boxes else 0)
    if field:
        return field
    if boxes:
        return _concluded(said[boxes[-1].end :]) or _joined(said, boxes)
    return field if field is not None else _last_phrase(said)


def _outside_thinking(text: str) -> str:
    ends = (text.rfind(close) + len(close) for _, close in _BLOCKS if close in text)
    said = text[max(ends, default=0) :]
    for opening, _ in _BLOCKS:
        said = said.partition(opening)[0]
    return _BLANK_LINES.sub("\n\n", _END_OF_TURN.split(said, maxsplit=1)[0]).rstrip()


def has_box(text: str) -> bool:
    """Whether a box that is closed and holds something is in a text."""
    return any(True for _ in _boxes(text))


# --- boxes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Box:
    start: int
    end: int
    content: str


_BOX_OR_BRACE = re.compile(
    r"(?>\\+f?box(?:ed)?|\x08oxed)\s*(?:(?P<brace>\{)|(?P<bare>[^\s{}\\$,;]+))|(?<![a-zA-Z\\])boxed(?P<lost>\{)|\\.|[{}]",
    re.DOTALL,
)
_SEPARATOR = re.compile(r"\b(?:and|or)\b|[和或与]|[^\w.\s$\\()\[\]{}*]")
_JOINED_WITHIN = 100  # characters
_MARKS = re.compile(r"[^\w.]{1,9}")
_JOINING = re.compile(
    r"""(?:\s | \$ | \\[()\[\]] | \\q?quad\b | \\[,;! ] | [,;、] | \b(?:and|or)\b | 和 | 或 | 与 | \*\*
    | \\text\s*\{ [^{}]{0,30}? \b(?:and|or)\b [^{}]{0,30}? \}
    | [a-zA-Z](?:_\{?\w\}?)? \s* = | [;；]\s*\(\d\) | (?:[，；]\s*)?第.空\s*[:：] )*""",
    re.VERBOSE,
)


def _boxes(text: str) -> Iterator[_Box]:
    """Closed boxes that hold something, in order; of nested ones the innermost. One pass, however deep the braces."""
    opened: list[tuple[int, int] | None] = []  # where a box and its content start; None for a plain brace
    inner = -1  # where the last box found starts
    for found in _BOX_OR_BRACE.finditer(text):
        token = found.group()
        if found["brace"] or found["lost"]:  # lost: its backslash, or \\b read as a JSON escape
            opened.append((found.start(), found.end()))
        elif found["bare"]:
            yield _Box(found.start(), found.end(), found["bare"].rstrip(".。"))
        elif token == "{":
            opened.append(None)
        elif token == "}" and opened:
            box = opened.pop()
            content = text[box[1] : found.start()].strip() if box and box[0] > inner else ""
            if box and re.search(r"[\w∅]", content):
                inner = box[0]
                yield _Box(box[0], found.end(), content)


def _joined(text: str, boxes: list[_Box]) -> str:
    """The last box, with those before it that only "and", "or" or a comma parts from it."""
    parts = [boxes[-1].content]
    for box, after in zip(reversed(boxes[:-1]), reversed(boxes[1:]), strict=True):
        between = text[box.end : after.start]
        if (
            len(between) > _JOINED_WITHIN  # before any pattern is tried on it
            or not _SEPARATOR.search(between)
            or not (_JOINING.fullmatch(between) or _MARKS.fullmatch(between))
        ):
            break
        parts.append(box.content)
    return ", ".join(dict.fromkeys(reversed(parts)))


# --- said in words --------------------------------------------------------------------------------------------------


_FIELD = re.compile(r"""(?:[\\"'`]|\\n|\b)(?:final[_ ]?)?answer(?P<escaped>\\*)["'`]\s*:\s*""", re.IGNORECASE)
_BLANK = re.compile(r"[\s_.…]*")  # a form that was not filled in
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|`([^`]*)`', re.DOTALL)
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_UNQUOTED = re.compile(r'\}|\n|,\s*"')  # what ends a value


def _whole_object(text: str) -> str | None:
    """The field "answer" of a text that is one JSON object; None where it is none, or has no such field."""
    bare = text.strip().removeprefix("```json").strip("`\n ")
    if not (bare.startswith("{") and bare.endswith("}") and "nswer" in bare):
        return None
    try:
        read = json.loads(bare, parse_float=str, parse_int=str)  # numbers as they are written
    except (json.JSONDecodeError, RecursionError):
        return None
    named = {str(name).lower().replace(" ", "_"): value for name, value in read.items()}
    value = next((named[name] for name in ("final_answer", "answer") if named.get(name) is not None), None)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ", ".join(value)
    plain = value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)
    inside = list(_boxes(plain or ""))
    return inside[-1].content if inside else _bare(plain) if plain and not _BLANK.fullmatch(plain) else None


def _last_field(text: str, start: int) -> str | None:
    """The value of the last JSON field "answer" from `start` on, "" where it is null; None where there is no field."""
    fields = list(_FIELD.finditer(text, start))
    if not fields:
        return None
    rest = text[fields[-1].end() :]
    rest = rest.replace(r"\"", '"') if fields[-1]["escaped"] else rest
    quoted = _QUOTED.match(rest)
    if quoted:  # a lone backslash is LaTeX written without care for JSON, and stays
        value = next(group for group in quoted.groups() if group is not None)
        value = _UNICODE.sub(lambda code: chr(int(code[1], 16)), value.replace(r"\\", "\\").replace(r"\"", '"'))
    else:
        value = _UNQUOTED.split(rest, maxsplit=1)[0].strip().removesuffix(",").rstrip().strip("\"'`")
    inside = list(_boxes(value))
    value = inside[-1].content if inside else value.strip()
    return "" if _BLANK.fullmatch(value) or (not quoted and value in ("null", "None")) else value


_PHRASE = re.compile(
    r"""\b(?:final\ |correct\ )?(?:answer|option|choice)s?\b (?:\ (?:to|for|of)\ [^.:\n]{0,80}?)? [*_]*
        \ +(?:is|are|would\ be|will\ be|must\ be|should\ be)\b (?:\ (?:therefore|thus|then|simply|just))?
        [*_]* \s* [:：]?
      | \b(?:final\ |correct\ )?(?:answers?|ans)[*_\ ]*[:：=]
      | (?:^|\n)[\#*\s]*(?:final\ )?answers?[*\s]*\n
      | (?:^|[\n\ ])\#\#\#\#(?=[ ]*(?:[-$.(\\\[*]|\d+(?![.)]\s)|[A-K]\s*(?:\n|$)|[a-z]\s*=))
      | (?:^|\n)A:(?=\s)
      | <answer>
      | 【答案】 | 答案[*_\s]*(?:应该|应|就)?\s*(?:[是为：:]+|选择?|等于)[*_]*
      | (?:সঠিক\ )?উত্তর(?:টি)?[*_\s]*(?:হলো|হল|হবে|হচ্ছে|[:：])[*_\s]*[:：]?""",
    re.IGNORECASE | re.VERBOSE,
)
_CHOICE_PHRASE = re.compile(  # asked where nothing plainer is said
    r"""\b(?:option|choice)\ (?=\(?[A-K]\)?\ is\ (?:the\ )?(?:correct|right|answer))
      | (?:故|应|因此|所以|综上|(?:^|\n))\s*选(?:择|项)?\s*[：:]?\s*(?=[(（]?[A-K]{1,5}[)）]?\s*(?:[.．。]|\s*\n|\s*$))
      | 选项[是为]\s*(?=[A-K])""",
    re.VERBOSE,
)
_SENTENCE_END = re.compile(
    r"""\.(?=\s+[A-Z]|\s*\n|\s*$) | \n | 。 | । | ．(?!\d) | </answer> | \s+I\ hope\b | ,?\ (?:because|since|as)[ ]
    | ,\ not[ ] | \ and\ that[ ] | \ is\ (?:the\ )?(?:correct|right) | [，,；]\s*(?:因为|理由|其中|故选) | （见""",
    re.VERBOSE,
)
_DISPLAY = re.compile(r"(?:\\\[(.+?)\\\]|\$\$(.+?)\$\$)", re.DOTALL)
_FENCE = re.compile(r"\A[\s*_:：]*```\w*[^\S\n]*(?:\n|$)")
_DELIMITERS = " \t\r\n*_`\"'"


def _last_phrase(text: str) -> str | None:
    for found in (*reversed(list(_PHRASE.finditer(text))), *reversed(list(_CHOICE_PHRASE.finditer(text)))):
        rest = text[found.end() : found.end() + 4 * LONGEST_ANSWER]
        if found.group() == "<answer>" and "</answer>" in rest:
            return _bare(" ".join(rest.partition("</answer>")[0].split()))
        value = _value(rest)
        if value is not None and not _REMARK.match(value):
            return value
    return None


_CONCLUSION = re.compile(r"\bfinal answer is\b\s*:?", re.IGNORECASE)
_REMARK = re.compile(  # what is said of an answer, and not what it is
    r"(?:incorrect|wrong)\b"
    r"|(?:found|shown|below|important|consistent|correct|clear|unique|checked|verified|confirmed|reasonable|valid|obtained|"
    r"rounded|given|expressed|written|based|the\ following|as|also|now|should|that|this|not)\b(?!\ *[=:])",
    re.IGNORECASE | re.VERBOSE,
)
_LEADING = re.compile(
    r"(?:approximately|about|roughly|around|exactly|indeed|simply|either|therefore|thus)\s+(?=\S)", re.I
)


def _concluded(behind: str) -> str | None:
    """What "the final answer is ..." says behind the last box: it is the later word, where it holds a value."""
    found = list(_CONCLUSION.finditer(behind))
    value = _value(behind[found[-1].end() : found[-1].end() + 4 * LONGEST_ANSWER]) if found else None
    return value if value is not None and re.match(r"[-+(\[{$\\.]*\d|[$\\]", value) else None


def _value(rest: str) -> str | None:
    """The answer at the beginning of what follows a marker: a displayed formula, or up to the end of the sentence."""
    rest = _FENCE.sub("", rest).lstrip(_DELIMITERS + ":：")
    display = _DISPLAY.match(rest)
    if display:
        return _bare(display[1] or display[2])
    value = _bare(_SENTENCE_END.split(rest, maxsplit=1)[0])
    return value if value is not None and len(value) <= LONGEST_ANSWER and not _BLANK.fullmatch(value) else None


def _bare(value: str) -> str | None:
    """Without bold marks, quotes, the stop, and math delimiters where they hold the whole."""
    value = _LEADING.sub("", value.strip(_DELIMITERS).rstrip(".。．,;；，")).strip(_DELIMITERS)
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        inside = value[len(opening) : -len(closing)]
        if len(value) > len(opening + closing) and value.startswith(opening) and value.endswith(closing):
            value = inside.strip() if opening not in inside.replace(r"\$", "") else value
    return value.strip(_DELIMITERS).rstrip(".").strip() or None


_NUMBER = r"[-+−]?\s*[$€£¥]?\s*(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s*/\s*\d+)?\s*(?:\\?%|°)?"
_BARE_LINE = re.compile(
    rf"""(?:[a-zA-Z]\s*=\s*)?{_NUMBER} | \$[^$]+\$ | \$\$[^$]+\$\$ | \\\(.+\\\) | \\\[.+\\\]
    | -?\\[dt]?frac\{{[^{{}}]+\}}\{{[^{{}}]+\}} | \(?[A-J][.)]? | \\text\{{\(?[A-J]\)?\}}""",
    re.VERBOSE,
)


def _bare_line(text: str) -> str | None:
    """The last line, where it is nothing but a number, a formula or a choice."""
    line = text.rstrip().rpartition("\n")[2].strip(_DELIMITERS)
    for candidate in (line, line.rstrip(".。")):
        if len(candidate) <= LONGEST_ANSWER and "boxed" not in candidate and _BARE_LINE.fullmatch(candidate):
            return _bare(candidate)
    return None


_BOLD_CHOICE = re.compile(r"\*\*\s*\(?([A-HJK])(?:\)|[.:।](?=\s)|(?=\s*\*\*(?![^\W_])))[^*\n]{0,200}\*\*")


def _bold_choice(text: str) -> str | None:
    """The choice that the last paragraph sets in bold, as in "so it is **B. both**": the weakest sign of an answer."""
    found = set(_BOLD_CHOICE.findall(text.rstrip().rpartition("\n\n")[2][-LONGEST_ANSWER:]))
    return found.pop() if len(found) == 1 else None
