"""What can be measured of a trace without a model (METHOD 3, 9.7 to 9.9): steps, repeats, tokens, rethinking tokens.

Both lengths, raw and normalised, and the length of the whole example as it will be trained come out of one pass of the
tokenizer: counts are additive over cuts between a line break and a non-space, so what a repeat or a tag adds is counted
apart and taken off or put on. Where no such cut is at hand, the text itself is counted; the result is always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.cache import key_of
from select2reason.scoring.base import ScorerSpec
from select2reason.tokens import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1  # raised whenever a measure changes its meaning
SYSTEM_PROMPT = r"Please reason step by step, and put your final answer within \boxed{}."  # METHOD 6
RETHINKING_WORDS = ("wait", "alternatively", "maybe", "however")  # METHOD 1, 9.8
RETHINKING_WORDS_ZH = ("等等", "或者", "也许", "可能", "但是", "不过", "然而")
STEP_BREAK = "\n\n"
_RETHINKING = rf"(?i)\b(?:{'|'.join(RETHINKING_WORDS)})\b"
_RETHINKING_ZH = "|".join(RETHINKING_WORDS_ZH)
_TEMPLATE = (  # what stands around "user" + question and "assistant" + response in Qwen2.5's ChatML
    f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>",
    "<|im_end|>\n<|im_start|>",
    "<|im_end|>\n",
)
_WHITE = "".join(chr(c) for c in range(0x3001) if chr(c).isspace())  # what str.strip trims, for Polars too
_SPREAD = 0x9E3779B97F4A7C15  # odd and far from any pattern: keeps equal steps of different traces apart
_LAST_LINE_CHARS = 400  # a trace whose last line is longer than this is counted once more, whole

OUTPUTS: dict[str, type[pl.DataType]] = {
    "trace_tokens": pl.UInt32,
    "trace_tokens_raw": pl.UInt32,
    "total_tokens": pl.UInt32,
    "rethinking_tokens": pl.UInt32,
    "no_trace": pl.Boolean,
    "question_key": pl.UInt64,
    "trace_key": pl.UInt64,
}


def measure_spec(tokenizer: str) -> ScorerSpec:
    """The measuring of traces as a scorer; `tokenizer` as for `load_tokenizer`."""
    opened = load_tokenizer(tokenizer)
    versions = [version(name) for name in ("gigatoken", "polars", "tokenizers")]  # Polars' hashes are its version's own
    fingerprint = key_of(VERSION, opened.digest, SYSTEM_PROMPT, versions)
    inputs = ("question", "head", "trace", "tail")
    return ScorerSpec("trace", fingerprint, inputs, OUTPUTS, lambda: TraceScorer(opened), threads=2)


@dataclass(frozen=True, slots=True)
class TraceScorer:
    """Measures batches of canonical text; see OUTPUTS for the columns."""

    tokenizer: Tokenizer

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        """One row per example: lengths in tokens, rethinking tokens of the normalised trace, and keys of equality."""
        trace = batch["trace"]
        raw = self.tokenizer.count(trace).astype(np.int64)
        repeats = find_repeats(trace)
        dropped = repeats.steps.select("row", words=_rethinking(pl.col("step")))
        words = batch.select(_rethinking(pl.col("trace"))).to_series().to_numpy().astype(np.int64)
        return batch.select(
            trace_tokens=pl.lit(pl.Series(self._without_repeats(trace, raw, repeats))),
            trace_tokens_raw=pl.lit(pl.Series(raw)),
            total_tokens=pl.lit(pl.Series(total_tokens(batch, raw, self.tokenizer))),
            rethinking_tokens=pl.lit(pl.Series(words - _sum_by_row(dropped, "words", len(trace)))),
            no_trace=pl.col("trace").str.strip_chars(_WHITE) == "",
            question_key=normalised_question(pl.col("question")).hash(seed=0),
            trace_key=pl.col("trace").hash(seed=0),
        )

    def _without_repeats(self, trace: pl.Series, raw: NDArray[np.int64], repeats: Repeats) -> NDArray[np.int64]:
        """Tokens of the normalised traces: what the dropped steps count taken off, or the text itself counted."""
        tokens, again = raw.copy(), np.flatnonzero(repeats.found)
        if self.tokenizer.cuts_at_newlines:
            counts = pl.Series(self.tokenizer.count(repeats.steps["step"] + STEP_BREAK), dtype=pl.Int64)
            tokens -= _sum_by_row(repeats.steps.select("row", tokens=counts), "tokens", len(trace))
            again = repeats.uneven
        tokens[again] = self.tokenizer.count(trace[again].map_elements(normalise, return_dtype=pl.String))
        return tokens


def normalise(trace: str) -> str:
    """A trace without the steps that repeat an earlier one exactly (METHOD 9.7)."""
    seen: set[str] = set()
    kept = []
    for step in trace.split(STEP_BREAK):
        if step.strip() not in seen:
            seen.add(step.strip())
            kept.append(step)
    return STEP_BREAK.join(kept)


def normalised_question(question: pl.Expr) -> pl.Expr:
    """The form in which two questions count as the same: lower case, single spaces, no outer white space."""
    return question.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


@dataclass(frozen=True, slots=True)
class Repeats:
    """The repeated steps of a batch of traces.

    `steps` (row, step) lists those that normalising drops, `found` marks the rows that have any (n,), and `uneven`
    holds the rows where a dropped step is not framed by safe cuts, so that the normalised text must be counted itself.
    """

    steps: pl.DataFrame
    found: NDArray[np.bool_]
    uneven: NDArray[np.int64]


def find_repeats(trace: pl.Series) -> Repeats:
    """Steps that repeat an earlier one of their trace; two are the same when equal after trimming (METHOD 9.7).

    Equality is that of 64-bit hashes within a batch: over ten million traces of 100 steps, in batches of 1,000, there
    is about one chance in 400,000 that any two unlike steps are taken for equal.
    """
    split = trace.str.split(STEP_BREAK)
    steps = split.explode(empty_as_null=True, keep_nulls=True)
    row = np.repeat(np.arange(len(trace), dtype=np.uint64), split.list.len().to_numpy())
    key = steps.str.strip_chars(_WHITE).hash(seed=0).to_numpy() + row * np.uint64(_SPREAD)
    repeat = np.flatnonzero(~pl.Series(key).is_first_distinct().to_numpy())
    after = np.minimum(repeat + 1, len(steps) - 1)
    even = _starts_plain(steps[repeat]) & _starts_plain(steps[after]) & (row[after] == row[repeat]) & (after > repeat)
    dropped = pl.DataFrame({"row": row[repeat].astype(np.int64), "step": steps[repeat]})
    found = np.zeros(len(trace), np.bool_)
    found[dropped["row"].to_numpy()] = True
    return Repeats(dropped, found, np.unique(dropped["row"].to_numpy()[~even]))


def _starts_plain(steps: pl.Series) -> NDArray[np.bool_]:
    return steps.str.contains(r"\A\S").to_numpy()


def _sum_by_row(frame: pl.DataFrame, column: str, rows: int) -> NDArray[np.int64]:
    sums = np.bincount(frame["row"].to_numpy(), weights=frame[column].to_numpy(), minlength=rows)
    return sums.astype(np.int64)


def _rethinking(text: pl.Expr) -> pl.Expr:
    return text.str.count_matches(_RETHINKING) + text.str.count_matches(_RETHINKING_ZH)


# --- the whole example ----------------------------------------------------------------------------------------------


def total_tokens(batch: pl.DataFrame, trace_tokens_raw: NDArray[np.int64], tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Tokens of each example in Qwen2.5's ChatML with the system prompt, question and full response (METHOD 9.9)."""
    fixed = int(tokenizer.count(pl.Series(_TEMPLATE)).sum())
    question = tokenizer.count("user\n" + batch["question"]).astype(np.int64)
    return fixed + question + _reply_tokens(batch, trace_tokens_raw, tokenizer)


def _reply_tokens(batch: pl.DataFrame, trace_tokens_raw: NDArray[np.int64], tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Tokens of "assistant", a line break, head, trace and tail, from those of the trace and of what its edges add."""
    if not tokenizer.cuts_at_newlines:
        return tokenizer.count(_reply(batch)).astype(np.int64)
    edges = _edges(batch)
    tokens = trace_tokens_raw.copy()
    for name, sign in (("before", 1), ("lead", -1), ("last", -1), ("after", 1)):
        tokens += sign * _count_few(edges[name], tokenizer)
    whole = edges["whole"].arg_true().to_numpy()
    tokens[whole] = tokenizer.count(_reply(batch[whole]))
    return tokens


def _reply(batch: pl.DataFrame) -> pl.Series:
    return "assistant\n" + batch["head"] + batch["trace"] + batch["tail"]


def _edges(batch: pl.DataFrame) -> pl.DataFrame:
    """What stands around the first and the last safe cut of each trace, and `whole` where there is no such cut.

    before = what precedes the first cut, of which `lead` belongs to the trace; after = what follows the last cut, of
    which `last` belongs to the trace.
    """
    lead = pl.col("trace").str.extract(r"\A(\s*)")
    end = pl.col("trace").str.tail(_LAST_LINE_CHARS)
    at_line_end = end.str.ends_with("\n") & (pl.col("tail").str.contains(r"\A\S") | (pl.col("tail") == ""))
    last = pl.when(at_line_end).then(pl.lit("")).otherwise(end.str.extract(r"\n(\S[^\n]*)\z"))
    edges = batch.select(
        lead=lead, last=last, before="assistant\n" + pl.col("head") + lead, after=last + pl.col("tail")
    )
    cut_first = pl.col("before").str.ends_with("\n") & (pl.col("lead").str.ends_with("\n") | (pl.col("lead") == ""))
    return edges.with_columns(
        whole=~(cut_first & pl.col("last").is_not_null()).fill_null(False) | (batch["trace"].str.strip_chars() == "")
    )


def _count_few(texts: pl.Series, tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Counts of texts among which few differ: each distinct one is counted once."""
    distinct = texts.unique(maintain_order=True)
    if len(distinct) > len(texts) // 2:
        return tokenizer.count(texts).astype(np.int64)
    counts = dict(zip(distinct.to_list(), tokenizer.count(distinct).tolist(), strict=True))
    return np.asarray(texts.replace_strict(counts, return_dtype=pl.Int64).to_numpy(), np.int64)
