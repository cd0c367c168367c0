"""What can be measured of a trace without a model (METHOD 3, 9.7 to 9.9): steps, tokens, rethinking tokens, health.

Both lengths, raw and normalised, and the length of the whole example as it will be trained come out of one pass over
the traces: counts are additive over cuts between a line break and a non-space, so what a repeat or a tag adds is
counted apart and taken off or put on. Where no such cut is at hand, the text itself is counted; the result is always
the same.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.cache import key_of
from select2reason.cores import cores
from select2reason.errors import UsageError
from select2reason.frames import FEWEST_ROWS, WHITE, blank
from select2reason.health.endings import damaged_tags, runs_on, unfinished
from select2reason.health.language import switches
from select2reason.health.loops import Loops, find_loops, number_tokens
from select2reason.scoring.base import ScorerSpec
from select2reason.tokens import Encoded, Tokenizer, load_tokenizer
from select2reason.utf8 import Bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 6  # raised whenever a measure changes its meaning
SYSTEM_PROMPT = r"Please reason step by step, and put your final answer within \boxed{}."  # METHOD 6
RETHINKING_WORDS = ("wait", "alternatively", "maybe", "however")  # METHOD 1, 9.8
RETHINKING_WORDS_ZH = ("等等", "或者", "也许", "可能", "但是", "不过", "然而")
STEP_BREAK = "\n\n"
RETHINKING = rf"(?i)\b(?:{'|'.join(RETHINKING_WORDS)})\b|{'|'.join(RETHINKING_WORDS_ZH)}"
_TEMPLATE = (  # what stands around "user" + question and "assistant" + response in Qwen2.5's ChatML
    f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>",
    "<|im_end|>\n<|im_start|>",
    "<|im_end|>\n",
)
_REPLY = "assistant\n"
_SPREAD = 0x9E3779B97F4A7C15  # odd and far from any pattern: keeps equal steps of different traces apart
_FEWEST_AT_ONCE, _MOST_AT_ONCE = 3, 8  # batches, some of them at the tokenizer
_ASCII_WHITE = np.array([byte < 0x80 and chr(byte) in WHITE for byte in range(256)])
_MAYBE_WHITE = _ASCII_WHITE | (np.arange(256) >= 0x80)  # or a byte of one of these:
_WIDE_WHITE = {  # the others, by their bytes in UTF-8 and as one number
    size: np.array([int.from_bytes(sign.encode()) for sign in WHITE if len(sign.encode()) == size]) for size in (2, 3)
}
_MOST_BREAKS = 1 << 20  # line breaks looked at together: a step takes some 100 bytes while it is
_PASSED_OVER = 2  # white signs at either edge: most steps have none, and few have more
_LAST_LINE_CHARS = 400  # a trace whose last line is longer than this is counted once more, whole

LENGTHS: dict[str, type[pl.DataType]] = {
    "trace_tokens": pl.UInt32,
    "trace_tokens_raw": pl.UInt32,
    "total_tokens": pl.UInt32,
    "rethinking_tokens": pl.UInt32,
    "no_trace": pl.Boolean,
}
"""What the paper's ranking goes by."""
HEALTH: dict[str, type[pl.DataType]] = {
    "loop_share": pl.Float32,  # part of the trace's tokens that go on saying what was said
    "loop_start": pl.UInt32,  # the token of the trace at which the first loop is certain; null where there is none
    "unfinished": pl.Boolean,  # the response ends in mid-sentence
    "language_switch": pl.Boolean,
    "damaged_tags": pl.Boolean,
    "runs_on": pl.Boolean,
    "trace_key": pl.UInt64,
}
OUTPUTS = LENGTHS | HEALTH


def measure_spec(tokenizer: str, *, health: bool = True) -> ScorerSpec:
    """The measuring of traces as a scorer, with the columns of OUTPUTS, or without `health` of LENGTHS; `tokenizer` as
    for `load_tokenizer`."""
    opened = load_tokenizer(tokenizer)
    versions = [version(name) for name in ("gigatoken", "polars", "tokenizers")]  # Polars' hashes are its version's own
    fingerprint = key_of(VERSION, opened.digest, SYSTEM_PROMPT, versions)
    inputs = ("question", "head", "trace", "tail")
    named, threads = _Named(tokenizer, opened), max(_FEWEST_AT_ONCE, min(_MOST_AT_ONCE, cores()))
    whole = ScorerSpec("trace", fingerprint, inputs, OUTPUTS, named.scorer, threads, light=True, wake=named.wake)
    return whole if health else replace(whole, name="lengths", outputs=LENGTHS, make=named.ruler, part_of=whole)


@dataclass(frozen=True, slots=True)
class _Named:
    """A tokenizer that goes to another process by its name, and is opened there."""

    name: str
    tokenizer: Tokenizer

    def __reduce__(self) -> tuple[object, ...]:
        at = Path(self.name)
        return _opened, (str(at.absolute()) if at.exists() else self.name, self.tokenizer.digest)

    def scorer(self) -> TraceScorer:
        return TraceScorer(self.tokenizer)

    def ruler(self) -> TraceScorer:
        return TraceScorer(self.tokenizer, health=False)

    def wake(self) -> None:
        self.tokenizer.wake()


def _opened(name: str, digest: str) -> _Named:
    found = load_tokenizer(name)
    if found.digest != digest:
        raise UsageError(f"the tokenizer {name} is another one on {platform.node()}; give one that all machines share")
    return _Named(name, found)


@dataclass(frozen=True)
class TraceScorer:
    """Measures batches of canonical text; see OUTPUTS for the columns, or LENGTHS where `health` is not asked for."""

    tokenizer: Tokenizer
    health: bool = True

    @cached_property
    def template_tokens(self) -> int:
        """Tokens of the chat template and the system prompt, alike for every example."""
        return int(self.tokenizer.count(pl.Series(_TEMPLATE)).sum())

    @cached_property
    def numbers(self) -> NDArray[np.bool_]:
        """Which tokens are numbers."""
        return number_tokens(self.tokenizer)

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        """One row per example: lengths in tokens, rethinking tokens of the normalised trace; health, a key."""
        trace, cuts = Bytes.of(batch["trace"]), self.tokenizer.cuts_at_newlines
        if len(trace.breaks) > _MOST_BREAKS and batch.height > FEWEST_ROWS:
            half = batch.height // 2
            return pl.concat([self.score(batch[:half]), self.score(batch[half:])])
        repeats, edges = find_repeats(trace), _edges(batch)
        sums = _normalised_length(repeats, batch.height, cuts=cuts), *_example_length(batch, edges, cuts=cuts)
        encoded = self.tokenizer.encode(trace)
        normalised, question, reply = _counted(self.tokenizer, encoded, sums)
        numbers = {
            "trace_tokens": normalised,
            "trace_tokens_raw": np.diff(encoded.offsets),
            "total_tokens": question + reply + self.template_tokens,
            "rethinking_tokens": _rethinking_tokens(batch["trace"], repeats),
        }
        lengths = [pl.Series(name, values.astype(np.uint32)) for name, values in numbers.items()]
        scored = pl.DataFrame([*lengths, edges["no_trace"]])
        return scored.hstack(_health(batch, trace, find_loops(encoded, self.numbers))) if self.health else scored

    def close(self) -> None:
        """Let the tokenizer rest."""
        self.tokenizer.rest()


def _health(batch: pl.DataFrame, traces: Bytes, loops: Loops) -> pl.DataFrame:
    head, trace, tail = pl.col("head"), pl.col("trace"), pl.col("tail")
    tagless = (head == "") & (tail == "")
    start = pl.lit(pl.Series(loops.start))
    known = {
        "loop_share": pl.lit(pl.Series(loops.share)),
        "loop_start": pl.when(start >= 0).then(start),
        "unfinished": unfinished(pl.when(tail != "").then(tail).otherwise(trace)),
        "language_switch": pl.lit(switches(batch["question"], batch["trace"], traces)),
        "damaged_tags": damaged_tags(head, trace, tail),
        "runs_on": runs_on(pl.when(tagless).then(trace).otherwise(tail)),
        "trace_key": trace.hash(seed=0),
    }
    return batch.select(known[name].cast(dtype).alias(name) for name, dtype in HEALTH.items())


# --- lengths as sums ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Texts whose tokens are added to those of their rows, or taken off where `sign` is -1."""

    rows: NDArray[np.int64]
    texts: pl.Series
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Sum:
    """A length of each row: the tokens of the trace as it stands where `from_raw` (n,), plus its parts."""

    from_raw: NDArray[np.bool_]
    parts: Sequence[Part]


def _counted(tokenizer: Tokenizer, encoded: Encoded, sums: Sequence[Sum]) -> list[NDArray[np.int64]]:
    """What each of the sums comes to (n,), given the raw traces' tokens."""
    raw = np.diff(encoded.offsets)
    texts = [part.texts.alias("") for one in sums for part in one.parts]
    added = tokenizer.count(pl.concat(texts)).astype(np.int64)
    apart = iter(np.split(added, np.cumsum([len(one) for one in texts])[:-1]))
    lengths = []
    for one in sums:
        tokens = np.where(one.from_raw, raw, 0)
        for part in one.parts:
            np.add.at(tokens, part.rows, part.sign * next(apart))
        lengths.append(tokens)
    return lengths


# --- repeats --------------------------------------------------------------------------------------------------------


def _normalised_length(repeats: Repeats, rows: int, *, cuts: bool) -> Sum:
    """Tokens of the normalised traces: what the dropped steps count taken off, or the text itself counted."""
    anew = repeats.uneven if cuts else np.unique(repeats.rows[repeats.again])
    from_raw = np.ones(rows, np.bool_)
    from_raw[anew] = False
    again = np.flatnonzero(repeats.again)
    again = again[from_raw[repeats.rows[again]]]
    ending = repeats.at_end[again]
    framed, at_end = again[~ending], again[ending]
    last, ends = repeats.texts(repeats.last_kept[at_end]), repeats.rows[at_end]  # what ends those traces from now on
    return Sum(
        from_raw,
        [
            Part(repeats.rows[framed], repeats.texts(framed) + STEP_BREAK, -1),
            Part(ends, repeats.texts(at_end), -1),
            Part(ends, last + STEP_BREAK, -1),  # the break before it goes with it
            Part(ends, last),
            Part(anew, repeats.normalised(anew)),
        ],
    )


@dataclass(frozen=True, slots=True)
class Repeats:
    """The steps of a batch of traces: the row of each, where it begins and ends in their bytes, and whether it repeats
    an earlier one of its row.

    `at_end` marks repeats that end their trace, `last_kept` holds for each step the place of the last kept one so far,
    `uneven` the rows where a repeat is not framed by safe cuts, so that the normalised text must be counted.
    """

    traces: Bytes
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    again: NDArray[np.bool_]
    at_end: NDArray[np.bool_]
    last_kept: NDArray[np.int64]
    uneven: NDArray[np.int64]

    def texts(self, steps: NDArray[np.int64]) -> pl.Series:
        """Some of the steps, which ascend."""
        return self.traces.pieces(self.starts[steps], self.ends[steps])

    def normalised(self, wanted: NDArray[np.int64]) -> pl.Series:
        """The normalised traces of these rows, which ascend; kept steps that follow one another are one stretch."""
        asked = np.zeros(len(self.traces), np.bool_)
        asked[wanted] = True
        kept = np.flatnonzero(asked[self.rows] & ~self.again)
        rows = self.rows[kept]
        first, last = np.ones((2, len(kept)), np.bool_)
        first[1:] = last[:-1] = (np.diff(kept) > 1) | (np.diff(rows) > 0)
        starts, ends, rows = self.starts[kept[first]], self.ends[kept[last]], rows[first]
        ends += len(STEP_BREAK) * (np.diff(rows, append=-1) == 0)  # with the break before what of the row follows
        return self.traces.joined(starts, ends, np.searchsorted(rows, [*wanted, len(self.traces)]))


def find_repeats(traces: Bytes) -> Repeats:
    """Steps that repeat an earlier one of their trace; two are the same when equal after trimming (METHOD 9.7).

    Equality is that of 64-bit hashes within a batch: over ten million traces of 100 steps, in batches of 1,000, there
    is about one chance in 400,000 that any two unlike steps are taken for equal.
    """
    rows, starts, ends = traces.cut_at_blank_lines()
    key = _trimmed_hash(traces, starts, ends) + rows.astype(np.uint64) * np.uint64(_SPREAD)
    again = ~pl.Series(key).is_first_distinct().to_numpy()
    last_kept = np.maximum.accumulate(np.where(again, 0, np.arange(len(rows))))
    at_end = again & (np.diff(rows, append=len(traces)) > 0)
    repeat = np.flatnonzero(again)
    beside = np.where(at_end[repeat], last_kept[repeat], np.minimum(repeat + 1, len(rows) - 1))
    even = _starts_plain(traces, starts[repeat], ends[repeat]) & _starts_plain(traces, starts[beside], ends[beside])
    return Repeats(traces, rows, starts, ends, again, at_end, last_kept, np.unique(rows[repeat][~even]))


def _trimmed_hash(traces: Bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of each step without the white space around it. Most steps have none, which their two edges tell; of the
    others a few signs of ASCII are passed over in the bytes, and only what is white even so is trimmed."""
    data = traces.data
    edged = np.flatnonzero((starts < ends) & (_MAYBE_WHITE[_at(data, starts)] | _MAYBE_WHITE[_at(data, ends - 1)]))
    first, last = starts[edged], ends[edged]
    for _ in range(_PASSED_OVER):
        first += (first < last) & _ASCII_WHITE[_at(data, first)]
        last -= (first < last) & _ASCII_WHITE[_at(data, last - 1)]
    starts, ends = starts.copy(), ends.copy()
    starts[edged], ends[edged] = first, last
    steps = traces.pieces(starts, ends)
    key = np.array(steps.hash(seed=0))
    white = edged[_white(data, first, last, at_start=True) | _white(data, first, last, at_start=False)]
    if len(white):
        trimmed = pl.col("").str.strip_chars(WHITE).hash(seed=0)
        key[white] = pl.DataFrame({"": steps[white]}).select(trimmed).to_series().to_numpy()
    return key


def _white(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], *, at_start: bool
) -> NDArray[np.bool_]:
    """Whether each text has white space at its start, or at its end."""
    edge = _at(data, starts if at_start else ends - 1)
    white = _ASCII_WHITE[edge] & (starts < ends)
    wide = np.flatnonzero((edge >= 0x80) & (starts < ends))
    for size, signs in _WIDE_WHITE.items():
        first = starts[wide] if at_start else ends[wide] - size
        code = sum(_at(data, first + place).astype(np.int64) << 8 * (size - 1 - place) for place in range(size))
        white[wide] |= np.isin(code, signs)
    return white


def _at(data: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bytes at these places; any byte for a place that is outside."""
    return data.take(places, mode="clip") if len(data) else np.zeros(len(places), np.uint8)


def rethinking_tokens(trace: pl.Series) -> NDArray[np.int64]:
    """Rethinking tokens of each normalised trace (METHOD 9.8), shape (n,)."""
    return _rethinking_tokens(trace, find_repeats(Bytes.of(trace)))


def _rethinking_tokens(trace: pl.Series, repeats: Repeats) -> NDArray[np.int64]:
    dropped = np.flatnonzero(repeats.again)
    texts = pl.concat([trace.alias(""), repeats.texts(dropped)])
    counted = pl.DataFrame({"": texts}).select(pl.col("").str.count_matches(RETHINKING)).to_series()
    every: NDArray[np.int64] = counted.to_numpy().astype(np.int64)
    words = every[: len(trace)]
    np.subtract.at(words, repeats.rows[dropped], every[len(trace) :])
    return words


def _starts_plain(traces: Bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether these steps begin with something, and not with white space."""
    return (starts < ends) & ~_white(traces.data, starts, ends, at_start=True)


# --- the whole example ----------------------------------------------------------------------------------------------


def _example_length(batch: pl.DataFrame, edges: pl.DataFrame, *, cuts: bool) -> tuple[Sum, Sum]:
    """Tokens of each example's question and reply in Qwen2.5's ChatML (METHOD 9.9), less what all examples share.

    The reply is "assistant", a line break, head, trace and tail: the trace's tokens and what its edges add to them.
    """
    whole = edges["whole"].to_numpy() if cuts else np.ones(batch.height, np.bool_)
    anew, framed = np.flatnonzero(whole), np.flatnonzero(~whole)
    signs = {"before": 1, "lead": -1, "last": -1, "after": 1}
    parts = [Part(framed, edges[name][framed], sign) for name, sign in signs.items()]
    reply = batch[anew].select(_REPLY + pl.col("head") + pl.col("trace") + pl.col("tail")).to_series()
    asked = Sum(np.zeros(batch.height, np.bool_), [Part(np.arange(batch.height), edges["asked"])])
    return asked, Sum(~whole, [Part(anew, reply), *parts])


def _edges(batch: pl.DataFrame) -> pl.DataFrame:
    """What stands around the first and the last safe cut of each trace, and `whole` where there is no such cut.

    before = what precedes the first cut, of which `lead` belongs to the trace; after = what follows the last cut, of
    which `last` belongs to the trace. `asked` is the question's turn, `no_trace` says that there is no trace.
    """
    lead = pl.col("trace").str.extract(r"\A(\s*)")
    end = pl.col("trace").str.tail(_LAST_LINE_CHARS)
    at_line_end = end.str.ends_with("\n") & (pl.col("tail").str.contains(r"\A\S") | (pl.col("tail") == ""))
    last = pl.when(at_line_end).then(pl.lit("")).otherwise(end.str.extract(r"\n(\S[^\n]*)\z"))
    before = _REPLY + pl.col("head") + lead
    cut_first = before.str.ends_with("\n") & (lead.str.ends_with("\n") | (lead == ""))
    empty = ~pl.col("trace").str.contains(r"\S")
    return batch.select(
        lead=lead,
        last=last,
        before=before,
        after=last + pl.col("tail"),
        whole=~(cut_first & last.is_not_null()).fill_null(False) | empty,
        asked=pl.lit("user\n") + pl.col("question"),
        no_trace=blank(pl.col("trace")),
    )
