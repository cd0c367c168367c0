"""What the small difficulty model sees: cleaned text, hashed token n-grams, counted features, how a gold answer looks.

Serves the reward model of METHOD 2. It fits nothing and knows no labels: `reward.py` does. Every function takes whole
columns; nothing loops over questions. The n-grams are those of the cleaned question: the marks of one source
(\\( \\) against $ $, \\dfrac against \\frac, line breaks) would scatter its words. The marks themselves are counted on
the question as it stands: they tell where it comes from, and collections differ in difficulty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.tokens import load_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from select2reason.tokens import Encoded

ORDERS = (1, 2, 3)  # 4-grams and skip-grams added nothing; character 2- to 5-grams +0.001 of Spearman
HASH_BITS = 20  # 2^18 cost 0.003 of Spearman, 2^22 gained nothing
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads small ids over all bits
_MIX = 0xBF58476D1CE4E5B9  # the first multiplier of splitmix64's finaliser
_WORD = (1 << 64) - 1

_ASKS = r"(?:let's think|please reason|think|reason) step by step\b[^\n]{0,90}"  # DeepScaleR's tail has 54 after it
_BOXED = r"(?:and )?(?:please )?(?:put|output|give|write) (?:your|the) final answer (?:with)?in \\boxed\{\}\.?"
_TAIL = rf"(?i)(?:\s*(?:{_ASKS}|{_BOXED}))+\s*$"
_REWRITES = (
    (r"\\[()\[\]]|\$\$", "$$"),
    (r"\\[dt]frac", r"\frac"),
    (r"\\(?:left|right|displaystyle|[bB]ig|[,!; ])", " "),
    (r" \s+|[^\S ]\s*", " "),  # leaves single spaces alone: half the time of \s+
)
_FIRST_WORDS = (
    *("Let", "Given", "If", "Find", "The", "A", "An", "What", "In", "How"),
    *("Calculate", "Determine", "Compute", "Evaluate", "Simplify"),
)
_FIGURE = r"\[asy\].*?(?:\[/asy\]|$)"  # Asymptote source: drawing, not wording
_PATTERNS = {
    "word": r"\p{L}{2,}",
    "digit": r"\d",
    "number": r"\d+(?:\.\d+)?",
    "number_3": r"\d{3,}",
    "number_4": r"\d{4,}",
    "decimal": r"\d\.\d",
    "dollar": r"\$",
    "command": r"\\[a-zA-Z]+",
    "fraction": r"\\frac",
    "root": r"\\sqrt",
    "sum": r"\\(?:sum|prod|cdots|ldots|dots)",
    "trigonometry": r"\\(?:sin|cos|tan|cot)\b",
    "logarithm": r"\\(?:log|ln)\b",
    "angle": r"\\(?:angle|triangle|circ)\b|degree",
    "floor": r"floor|lceil",
    "binomial": r"\\binom|choose",
    "modulo": r"mod\b|remainder|divisib",
    "matrix": r"pmatrix|vmatrix|\\mathbf|\\vec",
    "inequality": r"\\(?:leq?|geq?)\b|<|>",
    "equation": r"=",
    "power": r"\^",
    "index": r"_",
    "pi": r"\\pi",
    "blackboard": r"\\mathbb|\\mathcal",
    "bracket": r"[({\[]",
    "sentence": r"[.?!。？](?:\s|$|\$)",
    "comma": r"[,，]",
    "question_mark": r"[?？]",
    "choice": r"\([A-E]\)|\\text(?:bf)?\{\s*\(?[A-E]\)",
    "let": r"(?i)\b(?:let|suppose|given|denote|define)\b",
    "for_all": r"(?i)\b(?:for all|every|each|any|for which|such that|satisf\w+)\b",
    "find": r"(?i)\bfind\b",
    "determine": r"(?i)\bdetermine\b",
    "prove": r"(?i)\b(?:prove|show that)\b",
    "compute": r"(?i)\b(?:compute|calculate|evaluate|simplify|solve|express)\b",
    "what": r"(?i)\bwhat\b",
    "how_many": r"(?i)\bhow (?:many|much)\b",
    "extreme": r"(?i)\b(?:least|smallest|minim\w+|maxim\w+|largest|greatest)\b",
    "probability": r"(?i)\b(?:probability|expected|random\w*)\b",
    "ways": r"(?i)\bways\b|permutation|arrange",
    "function": r"(?i)\bfunction|f\(",
    "polynomial": r"(?i)\bpolynomial|roots?\b",
    "integer": r"(?i)\binteger|prime\b",
    "sequence": r"(?i)\bsequence|series\b",
    "shape": r"(?i)triangle|circle|quadrilateral|square|rectangle|polygon|sphere|cube",
    "everyday": r"\\\$|dollar|cents?\b|percent|%|hour|minute|miles?|pounds?|cost",
    "answer_form": r"(?i)common fraction|nearest|simplest|lowest terms",
    "answer_sum": r"(?i)m ?\+ ?n\$?|relatively prime|a ?\+ ?b ?\+ ?c",
    "blank": r"_{2,}|\\_",
    "part": r"\(\d\)|\([a-c]\)|（",
    "real": r"(?i)\breal\b|complex",
    "han": r"\p{Han}",
    "capitals": r"\b[A-Z]{2,}\b",
}
# How a collection is written, counted before cleaning: Spearman +0.004 (by question). N-grams of the uncleaned question
# gave another 0.003, for twice the file.
_MARKS = {
    "paren": r"\\\(",
    "paren_space": r"\\\( ",
    "display": r"\\\[",
    "dollars": r"\$\$",
    "dollar_space": r"\$ [^$]",
    "dollar_comma": r"\$,",
    "comma_dollar": r",\$",
    "dollar_stop": r"\$\.",
    "stop_dollar": r"\.\$",
    "dfrac": r"\\dfrac",
    "tfrac": r"\\tfrac",
    "left": r"\\left",
    "line": r"\n",
    "paragraph": r"\n\n",
    "two_spaces": r"  ",
    "thin_space": r"\\[,!;]",
    "quad": r"\\quad",
    "tilde": r"~",
    "ampersand": r"&",
    "text": r"\\text\{",
    "roman": r"\\mathrm",
    "overline": r"\\overline|\\bar",
    "bold": r"\*\*",
    "bold_latex": r"\\textbf",
    "bold_maths": r"\\mathbf",
    "italic": r"_[a-z]+_",
    "times": r"\\times",
    "cdot": r"\\cdot",
    "cdots": r"\\cdots",
    "ldots": r"\\ldots",
    "three_dots": r"\.\.\.",
    "triangle_sign": r"\\triangle",
    "triangle_word": r"triangle",
    "circ": r"\^\\circ|\^\{\\circ\}",
    "degree_word": r"degree",
    "quote": r"``|''",
    "link": r"!\[|http",
    "leq": r"\\leq\b",
    "le": r"\\le\b",
    "neq": r"\\neq",
    "ne": r"\\ne\b",
    "begin": r"\\begin",
    "index_braced": r"_\{1\}",
    "index_bare": r"_1",
    "square_braced": r"\^\{2\}",
    "square_bare": r"\^2",
    "numbered": r"^\s*\d+\.",
    "option": r"\(A\)",
    "express": r"(?i)express your answer",
    "contest": r"(?i)proposed|olympiad",
    "points": r"\[\d+ ?points?\]|\bpoints?\]",
    "ends_question": r"\?$",
    "ends_stop": r"\.$",
    "ends_display": r"\\\]$|\$\$$",
    **{f"starts_{word.lower()}": rf"^{word}\b" for word in _FIRST_WORDS},
    "starts_capital": r"^[A-Z]",
    "starts_number": r"^\(?\d",
    "starts_maths": r"^[\\$]",
}
_MEASURES = ("tokens", "chars", "chars_all", "figure", "word_length", "symbol_share", "largest", "letters")
FEATURES = (*_MEASURES, *_PATTERNS, *(f"mark_{name}" for name in _MARKS))

# What a gold answer is, not how its source writes it: n-grams of answers raised Spearman by 0.03 on DeepScaleR, but by
# dollar signs and stray blanks that the pass rates' grader stumbled over, and lowered it on Omni-MATH's human levels.
_ANSWER_WRAPPING = (
    (r"\$|\\[()\[\]]|\\(?:left|right|displaystyle|[,!;: ])", ""),
    (r"\\(?:text|mathrm|mbox|textbf|mathbf)\s*\{([^{}]*)\}", "$1"),
    (r"\\[dt]frac", r"\frac"),
    (r"\s+", " "),
)
_BOXED_ANSWER = r"\\boxed\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"  # braces three deep
_LONGEST_ANSWER = 200  # characters; what is longer is a worked solution or a proof
_ANSWER_PATTERNS = {
    "fraction": r"\\frac|/",
    "root": r"\\sqrt|√",
    "pi": r"\\pi|π",
    "letters": r"\b[a-zA-Z]\b",
    "words": r"\p{L}{2,}",
    "comma": r"[,;，]",
    "power": r"\^",
    "operation": r"[+*]|\\cdot|\\times|[^{(^]-",
    "equation": r"=",
    "interval": r"\\infty|\\cup|[\[(].*,.*[\])]",
    "numbers": r"\d+(?:\.\d+)?",
    "decimal": r"\d\.\d",
    "negative": r"^-",
}
ANSWER_FEATURES = ("chars", "whole", "size", "small", "choice", "first_number", *_ANSWER_PATTERNS)


@dataclass(frozen=True, slots=True)
class Bags:
    """Distinct hashed n-grams of several questions end to end; those of question i are [offsets[i]:offsets[i + 1]]."""

    buckets: NDArray[np.int64]  # ascending within a question
    offsets: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Bags:
        """The bags of `rows`, in that order."""
        entries, sizes = self.entries(rows), np.diff(self.offsets)[rows]
        return Bags(self.buckets[entries], np.concatenate([[0], np.cumsum(sizes)]))

    def entries(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the entries of `rows` stand, row after row."""
        sizes = np.diff(self.offsets)[rows]
        shift = self.offsets[rows] - np.cumsum(sizes) + sizes
        return np.asarray(np.arange(sizes.sum()) + np.repeat(shift, sizes))

    @property
    def questions(self) -> NDArray[np.int64]:
        """The question that each entry belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def strip_tail(questions: pl.Series) -> pl.Series:
    """Questions without the prompt's tail and outer white space; null becomes empty."""
    return questions.cast(pl.String).fill_null("").str.replace_all(_TAIL, "").str.strip_chars()


def clean(stripped: pl.Series) -> pl.Series:
    """Level the marks of different sources in questions that `strip_tail` gave."""
    for pattern, replacement in _REWRITES:
        stripped = stripped.str.replace_all(pattern, replacement)
    return stripped.str.strip_chars()


def encode(cleaned: pl.Series) -> Encoded:
    """Token ids under the built-in tokenizer, whatever tokenizer the pool is measured with."""
    return load_tokenizer().encode(cleaned)


def ngram_bags(encoded: Encoded, *, bits: int = HASH_BITS) -> Bags:
    """Token n-grams of ORDERS, hashed to 2^bits buckets; none crosses from one question to the next.

    Which n-grams are there, not how often: counting them cost 0.005 of Spearman.
    """
    question = np.repeat(np.arange(len(encoded.offsets) - 1, dtype=np.uint64), np.diff(encoded.offsets))
    ids = encoded.ids.astype(np.uint64)
    key = np.sort(np.concatenate([_keys(ids, question, order, bits) for order in ORDERS]))
    key = key[np.append(True, key[1:] != key[:-1])] if len(key) else key
    sizes = np.bincount((key >> np.uint64(bits)).astype(np.int64), minlength=len(encoded.offsets) - 1)
    buckets = (key & np.uint64((1 << bits) - 1)).astype(np.int64)
    return Bags(buckets, np.concatenate([[0], np.cumsum(sizes)]))


def hand_features(stripped: pl.Series, cleaned: pl.Series, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """FEATURES of questions without a tail, and of their cleaned form, counts as log(1 + n): (questions, features)."""
    words_only = cleaned.str.replace_all(_FIGURE, " ")
    text = pl.DataFrame({"stripped": stripped, "all": cleaned, "words": words_only, "tokens": tokens})
    words = pl.col("words")
    chars = words.str.len_chars()
    columns = {
        "tokens": pl.col("tokens").log1p(),
        "chars": chars.log1p(),
        "chars_all": pl.col("all").str.len_chars().log1p(),
        "figure": pl.col("all").str.contains("[asy]", literal=True),
        "word_length": pl.min_horizontal(chars / (words.str.count_matches(" ", literal=True) + 1), 20.0),
        "symbol_share": (words.str.replace_all(r"[\p{L}\s]+", "").str.len_chars() + 1) / (chars + 1),
        "largest": words.str.extract_all(r"[0-9]{1,9}")
        .list.eval(pl.element().cast(pl.Int64))
        .list.max()
        .fill_null(0)
        .log1p(),
        "letters": words.str.extract_all(r"\b[a-zA-Z]\b").list.n_unique().log1p(),
    }
    columns |= {name: words.str.count_matches(pattern).log1p() for name, pattern in _PATTERNS.items()}
    columns |= {f"mark_{k}": pl.col("stripped").str.count_matches(p).log1p() for k, p in _MARKS.items()}
    return text.select(**{name: columns[name].cast(pl.Float64) for name in FEATURES}).to_numpy()


def plain_answers(golds: pl.Series) -> pl.Series:
    """Final answers without wrapping, of gold answers or worked solutions (after ####, in the last \\boxed).

    Null where there is none: a null, a blank, or a text too long to be one.
    """
    text = golds.cast(pl.String).fill_null("")
    marked = text.str.extract(r"(?s).*####(.*)")
    boxed = text.str.extract_all(_BOXED_ANSWER).list.last().str.extract(_BOXED_ANSWER)
    answers = pl.select(pl.coalesce(marked, boxed, text).alias("answer")).to_series()
    for pattern, replacement in _ANSWER_WRAPPING:
        answers = answers.str.replace_all(pattern, replacement)
    answers = answers.str.strip_chars(" .")
    there = answers.str.len_chars().is_between(1, _LONGEST_ANSWER)
    return answers.set(~there, None)


def answer_features(answers: pl.Series) -> NDArray[np.float32]:
    """ANSWER_FEATURES of what `plain_answers` gave, none of them null: (answers, features); -1 where none applies."""
    answer = pl.col("answer")
    digits = answer.str.replace_all(r"[,\s]", "")
    whole = digits.str.extract(r"^(-?\d{1,15})$").cast(pl.Float64).abs()
    columns = {
        "chars": answer.str.len_chars().log1p(),
        "whole": whole.is_not_null(),
        "size": whole.log1p().fill_null(-1),
        "small": (whole <= 10).cast(pl.Float64).fill_null(-1),
        "choice": answer.str.contains(r"^\(?[A-E]\)?$"),
        "first_number": answer.str.extract(r"(\d{1,15})").cast(pl.Float64).log1p().fill_null(-1),
    }
    columns |= {name: answer.str.count_matches(pattern).log1p() for name, pattern in _ANSWER_PATTERNS.items()}
    frame = pl.DataFrame({"answer": answers.cast(pl.String)})
    return frame.select(**{name: columns[name].cast(pl.Float32) for name in ANSWER_FEATURES}).to_numpy()


def _keys(ids: NDArray[np.uint64], question: NDArray[np.uint64], order: int, bits: int) -> NDArray[np.uint64]:
    """question << bits | bucket for every n-gram of one order."""
    size = max(len(ids) - order + 1, 0)
    state = np.full(size, order * _GOLDEN & _WORD, np.uint64)
    for shift in range(order):
        state ^= (ids[shift : shift + size] + np.uint64(_GOLDEN)) * np.uint64(_GOLDEN)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX)
        state ^= state >> np.uint64(27)
    whole = question[:size] == question[order - 1 :] if size else np.empty(0, bool)
    keys = question[:size] << np.uint64(bits) | state >> np.uint64(64 - bits)
    return np.asarray(keys[whole])
