"""Language switch: a passage in a script that is neither the trace's own nor in its question (METHOD 9.12).

Models of Chinese make drop into Chinese in the midst of an English trace. Single foreign words are left alone, as are
mathematical letters; a trace that is written in another language than its question throughout has not switched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.utf8 import Bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNS = {  # scripts of which four signs in a row are a phrase, by their blocks: small classes are soon compiled
    "Han": r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}",
    "Hiragana": r"\x{3040}-\x{309F}",
    "Katakana": r"\x{30A0}-\x{30FF}",
    "Hangul": r"\x{1100}-\x{11FF}\x{AC00}-\x{D7AF}",
    "Thai": r"\x{E00}-\x{E7F}",
    "Lao": r"\x{E80}-\x{EFF}",
    "Myanmar": r"\x{1000}-\x{109F}",
    "Khmer": r"\x{1780}-\x{17FF}",
}
_LETTERS = {
    "Cyrillic": r"\x{400}-\x{52F}",
    "Armenian": r"\x{530}-\x{58F}",
    "Hebrew": r"\x{590}-\x{5FF}",
    "Arabic": r"\x{600}-\x{6FF}",
    "Devanagari": r"\x{900}-\x{97F}",
    "Bengali": r"\x{980}-\x{9FF}",
    "Gurmukhi": r"\x{A00}-\x{A7F}",
    "Gujarati": r"\x{A80}-\x{AFF}",
    "Oriya": r"\x{B00}-\x{B7F}",
    "Tamil": r"\x{B80}-\x{BFF}",
    "Telugu": r"\x{C00}-\x{C7F}",
    "Kannada": r"\x{C80}-\x{CFF}",
    "Malayalam": r"\x{D00}-\x{D7F}",
    "Sinhala": r"\x{D80}-\x{DFF}",
    "Georgian": r"\x{10A0}-\x{10FF}",
    "Ethiopic": r"\x{1200}-\x{137F}",
}
_JAPANESE = _SIGNS["Han"] + _SIGNS["Hiragana"] + _SIGNS["Katakana"]
_TOGETHER = dict.fromkeys(("Han", "Hiragana", "Katakana"), _JAPANESE)  # which is a mixture of the three
_FORMULAS = r"\$[^$\n]*\$|\\[a-zA-Z]+"  # whose letters are of no language
_SAMPLE_CHARS = 1_500  # of each end of a trace, by which its own scripts are told
_COMMON = "Han"  # looked for before all others, which a batch may do without
_PHRASE = 4
_WORDS, _WORD_LETTERS = 3, 2  # of the others it takes three words of two letters and more
_LEAST_TOGETHER = 3  # letters that follow upon another, in a phrase or in three words
_ENGLISH = r"(?:[A-Za-z]+[ ,]+){11}[A-Za-z]+"  # twelve words of prose, in a trace of another script
_PARTED = "[ ,.;:!?]+"  # words are by these
_FOREIGN = (
    rf"[\x{{400}}-\x{{1CFF}}\x{{2E80}}-\x{{D7FF}}]{{2,}}(?:{_PARTED}[\x{{400}}-\x{{1CFF}}\x{{2E80}}-\x{{D7FF}}]+)*"
)
_FIRST_LEAD, _SIGNS_LEAD, _LAST_LEAD = 0xD0, 0xE2, 0xED  # first bytes in UTF-8
_LONGEST = 3  # bytes of one letter
_OWN = 0.4  # least part of a trace's letters that makes a script its own


def switches(question: pl.Series, trace: pl.Series, held: Bytes | None = None) -> pl.Series:
    """Whether each trace has such a passage; `held`: the bytes of the traces, where they are at hand."""
    found = pl.Series(np.zeros(len(trace), np.bool_))
    maybe = _maybe_foreign(held or Bytes.of(trace))
    if not len(maybe):
        return found
    foreign = trace[maybe].str.extract_all(_FOREIGN).list.join("\n")
    passages = _passages()
    some = foreign.str.contains("|".join(passages.values())).arg_true()
    if not len(some):
        return found
    told = _told(question[maybe][some], trace[maybe][some], foreign[some])
    told = told.with_columns(at=pl.Series(maybe[some.to_numpy()]))
    others = [script for script in passages if script != _COMMON]
    any_other = told["foreign"].str.contains("|".join(passages[script] for script in others)).any()
    for script in [_COMMON, *(others if any_other else [])]:
        holding = told.filter(pl.col("foreign").str.contains(passages[script]))
        found = found.scatter(holding.filter(_is_foreign(script))["at"], True)
    mostly = told.filter(_mostly_foreign()).filter(pl.col("trace").str.contains(_ENGLISH))
    return found.scatter(mostly["at"], True)


def passage(question: str, trace: str) -> str:
    """The first passage that makes a trace switch, "" where none does; for one trace, to be shown."""
    told = _told(*(pl.Series([text], dtype=pl.String) for text in (question, trace, trace)))
    for script, pattern in _passages().items():
        found = told.filter(pl.col("foreign").str.contains(pattern), _is_foreign(script))
        if found.height:
            return str(found["trace"].str.extract(f"({pattern})")[0])
    return str(told["trace"].str.extract(f"({_ENGLISH})").fill_null("")[0])


def _told(question: pl.Series, trace: pl.Series, foreign: pl.Series) -> pl.DataFrame:
    """With `sample`, both ends of each trace without formulas, and its `letters`."""
    asked = pl.DataFrame({"question": question, "trace": trace, "foreign": foreign})
    ends = pl.col("trace").str.head(_SAMPLE_CHARS) + pl.col("trace").str.tail(_SAMPLE_CHARS)
    return asked.with_columns(sample=ends.str.replace_all(_FORMULAS, " ")).with_columns(letters=_letters(r"\p{L}"))


def _letters(kind: str) -> pl.Expr:
    return pl.col("sample").str.count_matches(kind)


def _is_foreign(script: str) -> pl.Expr:
    """Whether a script is neither the trace's own nor in the question."""
    letter = f"[{_TOGETHER.get(script) or (_SIGNS | _LETTERS)[script]}]"
    return ~pl.col("question").str.contains(letter) & (_letters(letter) <= _OWN * pl.col("letters"))


def _mostly_foreign() -> pl.Expr:
    """Whether a trace is mostly in another script than English, as is its question."""
    mostly = _letters(r"[A-Za-z]") < _OWN * pl.col("letters")
    return mostly & ~pl.col("question").str.contains(r"(?:[A-Za-z]{2,}[ ,]+){3}")


def _maybe_foreign(trace: Bytes) -> NDArray[np.int64]:
    """Rows that may hold a passage in one of these scripts, told from the first bytes of code points: 0.2 s a gigabyte.

    U+0400 to U+DFFF but for what begins with 0xE2, which are signs: punctuation, arrows, operators.
    """
    lead = trace.data[trace.high]
    at = trace.high[(lead >= _FIRST_LEAD) & (lead != _SIGNS_LEAD) & (lead <= _LAST_LEAD)]
    together = at[1:][np.diff(at) <= _LONGEST]  # a letter that follows upon another
    rows, counts = np.unique(trace.rows(together), return_counts=True)
    return rows[counts >= _LEAST_TOGETHER]


def _passages() -> dict[str, str]:
    """What a passage in each script is, as a pattern."""
    signs = {script: rf"[{block}]{{{_PHRASE},}}" for script, block in _SIGNS.items()}
    words = {script: rf"[{block}]{{{_WORD_LETTERS},}}" for script, block in _LETTERS.items()}
    between = {script: rf"{_PARTED}(?:[{block}]{_PARTED})?" for script, block in _LETTERS.items()}  # one letter may be
    return signs | {one: rf"(?:{word}{between[one]}){{{_WORDS - 1},}}{word}" for one, word in words.items()}
