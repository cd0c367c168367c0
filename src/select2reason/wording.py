r"""A question as a sequence of words: the form in which questions are compared, whatever their spacing or capitals.

A word is a run of letters of any alphabet, one sign of a script without spaces (Chinese, Kana, Thai), a number, or an
operator (+ - * / = < > ^ ! |), which only some comparisons read. Commands that set type or space (`\left`, `\,`,
`\text`) are dropped, as are delimiters, punctuation and what prompts add to every question; `\frac`, `\sin` and the
like are words. Everything here is done in columns. Hashes are the same on every machine and version.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Places = NDArray[np.int64]

_TYPESETTING = (
    r"\\(?:left|right|quad|qquad|displaystyle|text|textbf|textit|textrm|mathrm|mathbf|mathbb|mathcal|mathit|operatorname"
    r"|limits|[bB]ig{1,2}[lr]?|hspace|vspace|label|rm|bf|it|begin|end|item|hline|nonumber|phantom|underline|aligned"
    r"|boldsymbol|mathsf|textstyle)\b|\\[,;:!> ]|[$~]"
)
_SPELLINGS = (  # of the same word
    (r"\\[dtc]frac", r"\frac"),
    (r"\\frac\s*(\d)\s*(\d)", r"\frac $1 $2"),
    (r"\\geqslant|\\geq|[≥⩾]", r" ge "),
    (r"\\leqslant|\\leq|[≤⩽]", r" le "),
    (r"\\neq|≠", " ne "),
    (r"\\(?:ldots|cdots|dots)|…|\.\.\.", " "),
    (r"\\degree|°", r" circ "),
    (r"\\triangle|[△]", " triangle "),
    (r"\\angle|∠", " angle "),
    (r"\\infty|∞", " infty "),
    (r"\\cdot|\\times|[×·•∗]", " * "),
    (r"\\div|÷", " / "),
    (r"[−–]", "-"),
    (r"(\p{L})-(\p{L})", "$1 $2"),  # a hyphen is no minus
    (r"√", " sqrt "),
    (r"π", " pi "),
    (r"α", " alpha "),
    (r"β", " beta "),
    (r"θ", " theta "),
    (r"(\d)(?:,|\{,\}|\\,)(\d{3})\b", "$1$2"),
)
_INSTRUCTIONS = (  # what prompts add to every question, which says nothing of it
    r"(?i)(?:please )?(?:let[’']?s )?(?:think|reason|solve)[^.:\n]{0,40} step[- ]by[- ]step"
    r"(?:,?\s+(?:and|then|before|within)\b[^.:\n]{0,120})?(?:[.:,!]|\s*\n|\s*$)"
    r"|(?:please )?(?:put|output|write|give|return|present|enclose|box)[^.:\n]{0,40} answer[^.:\n]{0,40}"
    r"\\boxed\s*\{\s*\}[.\s]*"
)
_WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|\p{L}[\p{L}\p{M}]*|\d+(?:\.\d+)?"
_SPACELESS = r"^[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]"
_NUMBER = r"^\d"
_OPERATOR = r"[-+*/=<>^!|]"
_ANY_NUMBER = np.uint64(0x6A09E667F3BCC909)  # stands for every number where numbers are masked
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
AT_ONCE = 1 << 14  # questions whose words are looked at together
_HASH_BITS = np.uint64(44)  # of a gram's hash; its question is sorted with it, in the bits above
_HASH_MASK = np.uint64((1 << 44) - 1)
GRAM_WORDS = 4  # words in one gram
GRAM_SIGNS = 6  # in questions of a script without spaces, where a word is one sign


@dataclass(frozen=True, slots=True)
class Words:
    """The words of n questions, end to end; question i has those from starts[i] to starts[i + 1]."""

    starts: Places  # (n + 1,)
    hashes: Hashes
    is_number: NDArray[np.bool_]
    is_operator: NDArray[np.bool_]
    spaceless: NDArray[np.bool_]  # (n,): most of its words are single signs

    def without_operators(self) -> Words:
        """The words proper."""
        kept = ~self.is_operator
        starts = np.concatenate([[0], np.cumsum(kept)])[self.starts]
        return Words(starts, self.hashes[kept], self.is_number[kept], self.is_operator[kept], self.spaceless)

    @property
    def rows(self) -> Places:
        """The question of each word."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class Grams:
    """Distinct runs of words of n questions, sorted by question, then by hash; those of question i as in `Words`.

    A question with fewer words than a gram has one of them all; one without any word has none.
    """

    starts: Places  # (n + 1,)
    hashes: Hashes

    @property
    def rows(self) -> Places:
        """The question of each gram."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @property
    def sizes(self) -> Places:
        """How many each question has: (n,)."""
        return np.diff(self.starts)


def asked(questions: pl.Series) -> pl.Series:
    """Each question without the prompt's instructions and typesetting, in lower case; a null asks nothing."""
    bare = questions.fill_null("").str.replace_all(_INSTRUCTIONS, " ").str.replace_all(_TYPESETTING, " ")
    return (
        pl.select(pl.when(bare.str.strip_chars() != "").then(bare).otherwise(questions.fill_null("")))
        .to_series()
        .str.to_lowercase()
    )


def words(asked: pl.Series) -> Words:
    """The words of each question, as `asked` gives it."""
    text = pl.col("q")
    for pattern, spelling in _SPELLINGS:
        text = text.str.replace_all(pattern, spelling)
    lists = pl.DataFrame({"q": asked}).select(text.str.extract_all(f"{_WORD}|{_OPERATOR}")).to_series()
    counts = lists.list.len().to_numpy().astype(np.int64)
    flat = lists.explode(empty_as_null=False, keep_nulls=False)
    kinds, codes = _coded(flat)
    starts = np.concatenate([[0], np.cumsum(counts)])
    single = np.concatenate([[0], np.cumsum(kinds["single"].to_numpy()[codes])])
    return Words(
        starts=starts,
        hashes=kinds["hash"].to_numpy()[codes],
        is_number=kinds["number"].to_numpy()[codes],
        is_operator=kinds["operator"].to_numpy()[codes],
        spaceless=2 * (single[starts[1:]] - single[starts[:-1]]) > counts,
    )


def _coded(flat: pl.Series) -> tuple[pl.DataFrame, Places]:
    """Each distinct word once, with its hash and kind; and which of them stands at each place."""
    distinct = flat.unique(maintain_order=True)
    kinds = pl.DataFrame({"word": distinct}).select(
        hash=pl.Series([_hash(word) for word in distinct], dtype=pl.UInt64),
        number=pl.col("word").str.contains(_NUMBER),
        operator=pl.col("word").str.contains(rf"^{_OPERATOR}$"),
        single=pl.col("word").str.contains(_SPACELESS),
    )
    codes = flat.replace_strict(distinct, pl.Series(range(len(distinct)), dtype=pl.UInt32), return_dtype=pl.UInt32)
    return kinds, codes.to_numpy().astype(np.int64)


@lru_cache(maxsize=1 << 14)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def grams(found: Words, *, masked: bool = False) -> Grams:
    """The grams of each question, of its words proper; `masked`: of words and operators, with every number standing for
    any. At most 2^20 questions at once."""
    assert len(found.starts) - 1 <= 1 << 64 - int(_HASH_BITS), "a key has no room for more questions"
    if masked:
        hashes = np.where(found.is_number, _ANY_NUMBER, found.hashes)
    else:
        found = found.without_operators()
        hashes = found.hashes
    runs, kept = _runs(hashes, found.starts, GRAM_WORDS)
    if found.spaceless.any():
        long = found.spaceless[found.rows]
        runs, kept = (
            np.where(long, *pair) for pair in zip(_runs(hashes, found.starts, GRAM_SIGNS), (runs, kept), strict=True)
        )
    keys = (found.rows[kept].astype(np.uint64) << _HASH_BITS) | (runs[kept] & _HASH_MASK)
    keys.sort()
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]]
    counts = np.bincount((keys >> _HASH_BITS).astype(np.int64), minlength=len(found.starts) - 1)
    return Grams(np.concatenate([[0], np.cumsum(counts)]), keys & _HASH_MASK)


def _runs(hashes: Hashes, starts: Places, size: int) -> tuple[Hashes, NDArray[np.bool_]]:
    """The hash of the `size` words from each place on, up to the question's end, and whether that is a gram."""
    places = np.arange(len(hashes))
    ends = np.repeat(starts[1:], np.diff(starts))
    firsts = np.repeat(starts[:-1], np.diff(starts))
    runs = np.zeros(len(hashes), np.uint64)
    for step in range(size):
        within = places + step < ends
        word = np.where(within, hashes[np.minimum(places + step, ends - 1)], np.uint64(0))
        runs = runs * _FACTOR + (word ^ (word >> np.uint64(29)))
    runs ^= runs >> np.uint64(32)  # what is kept of it are lower bits
    return runs, (places + size <= ends) | (places == firsts)


def plain(asked: pl.Series) -> pl.Series:
    """Each question (as `asked` gives it) without white space and what ends it: equal where nothing but typesetting
    differs."""
    apart = r"(\d)\s+(\d)"  # 1 12 is not 11 2
    bare = asked.str.replace_all(apart, "$1~$2").str.replace_all(apart, "$1~$2")
    bare = bare.str.replace_all(r"\\[()\[\]]|\s+", "").str.strip_chars_end(".?:;。？：；…।")
    return pl.select(pl.when(bare != "").then(bare).otherwise(asked)).to_series()
