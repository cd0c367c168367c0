"""Language switch: a passage in a script that is neither the trace's own nor in its question (METHOD 9.12).

Models of Chinese make drop into Chinese in the midst of an English trace. Single foreign words are left alone, as are
mathematical letters; a trace that is written in another language than its question throughout has not switched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNS = ("Han", "Hiragana", "Katakana", "Hangul", "Thai")  # scripts of which four signs in a row are a phrase
_LETTERS = ("Cyrillic", "Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil", "Telugu", "Georgian", "Armenian")
_TOGETHER = {"Han": r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"}  # Japanese and Korean have Chinese signs too
_TOGETHER |= dict.fromkeys(("Hiragana", "Katakana"), r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_FORMULAS = r"\$[^$\n]*\$|\\[a-zA-Z]+"  # whose letters are of no language
_SAMPLE_CHARS = 3_000  # of each end of a trace, by which its own scripts are told
_PHRASE = 4
_WORDS, _WORD_LETTERS = 3, 2  # of the others it takes three words of two letters and more
_ENGLISH = r"(?:\b[A-Za-z]+[ ,]+){12}"  # prose, in a trace of another script
_FOREIGN = r"[\x{400}-\x{1CFF}\x{2E80}-\x{D7FF}]{2,}(?:[ ,]+[\x{400}-\x{1CFF}\x{2E80}-\x{D7FF}]{2,})*"
_FIRST_LEAD, _SIGNS_LEAD, _LAST_LEAD = 0xD0, 0xE2, 0xED  # first bytes in UTF-8
_OWN = 0.4  # least part of a trace's letters that makes a script its own


def switches(question: pl.Series, trace: pl.Series) -> pl.Series:
    """Whether each trace has such a passage."""
    found = pl.repeat(False, len(trace), dtype=pl.Boolean, eager=True)
    maybe = _maybe_foreign(trace)
    if not len(maybe):
        return found
    foreign = trace[maybe].str.extract_all(_FOREIGN).list.join("\n")
    passages = _passages()
    some = foreign.str.contains("|".join(passages.values())).arg_true()
    if not len(some):
        return found
    asked = pl.DataFrame({"question": question[maybe][some], "trace": trace[maybe][some], "foreign": foreign[some]})
    switched = [_passage(script, pattern) for script, pattern in passages.items()]
    return found.scatter(
        maybe[some.to_numpy()], _told(asked).select(pl.any_horizontal(*switched, _english())).to_series()
    )


def passage(question: str, trace: str) -> str:
    """The first passage that makes a trace switch, "" where none does; for one trace, to be shown."""
    told = _told(pl.DataFrame({"question": [question], "trace": [trace], "foreign": [trace]}))
    for script, pattern in _passages().items():
        if told.select(_passage(script, pattern)).item():
            return str(told["trace"].str.extract(f"({pattern})")[0])
    return str(told["trace"].str.extract(f"({_ENGLISH})").fill_null("")[0])


def _told(asked: pl.DataFrame) -> pl.DataFrame:
    """With `sample`, both ends of each trace without formulas, and its `letters`."""
    ends = pl.col("trace").str.head(_SAMPLE_CHARS) + pl.col("trace").str.tail(_SAMPLE_CHARS)
    return asked.with_columns(sample=ends.str.replace_all(_FORMULAS, " ")).with_columns(letters=_letters(r"\p{L}"))


def _letters(kind: str) -> pl.Expr:
    return pl.col("sample").str.count_matches(kind)


def _passage(script: str, pattern: str) -> pl.Expr:
    letter = _TOGETHER.get(script, rf"\p{{{script}}}")
    own = _letters(letter) > _OWN * pl.col("letters")
    return pl.col("foreign").str.contains(pattern) & ~own & ~pl.col("question").str.contains(letter)


def _english() -> pl.Expr:
    """English prose in a trace that is mostly in another script, and whose question is not in English."""
    mostly = _letters(r"[A-Za-z]") < _OWN * pl.col("letters")
    asked = pl.col("question").str.contains(r"(?:[A-Za-z]{2,}[ ,]+){3}")
    return mostly & ~asked & pl.when(mostly & ~asked).then("trace").str.contains(_ENGLISH).fill_null(False)


def _maybe_foreign(trace: pl.Series) -> NDArray[np.int64]:
    """Rows that may hold a passage in one of these scripts, told from the first bytes of code points: 0.3 s a gigabyte.

    U+0400 to U+DFFF but for what begins with 0xE2, which are signs: punctuation, arrows, operators.
    """
    _, starts, content = trace.fill_null("").to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
    bounds = np.frombuffer(starts, np.int64)[: len(trace) + 1]
    data = np.frombuffer(content or b"", np.uint8)
    at = np.flatnonzero(data >= _FIRST_LEAD)
    at = at[(data[at] != _SIGNS_LEAD) & (data[at] <= _LAST_LEAD)]
    rows, counts = np.unique(np.searchsorted(bounds, at, side="right") - 1, return_counts=True)
    return rows[counts >= _PHRASE]


def _passages() -> dict[str, str]:
    signs = {script: rf"\p{{{script}}}{{{_PHRASE},}}" for script in _SIGNS}
    word = r"[\p{{{0}}}\p{{M}}]{{{1},}}"
    return signs | {
        script: rf"(?:{word.format(script, _WORD_LETTERS)}[ ,]+){{{_WORDS - 1},}}{word.format(script, _WORD_LETTERS)}"
        for script in _LETTERS
    }
