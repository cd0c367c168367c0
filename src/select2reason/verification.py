"""Right or wrong: the final answer of every example, and its verdict against the gold answer where one is asked for.

What is said in the text is taken from it once (a scorer, while the pool is read). Verdicts come from the pool's own
flags, or from the grader (`grading`), in worker processes and kept shard by shard like scores (METHOD 9.6, 9.12).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import polars as pl

from select2reason.cache import key_of
from select2reason.errors import UsageError
from select2reason.grading.extract import ANOTHER_QUESTION, final_answer, gold_answer, has_box
from select2reason.pool import Pool
from select2reason.progress import say, stage
from select2reason.scoring import Scorer, ScorerSpec, read_scores
from select2reason.scoring.base import missing_shards, shard_path, write_shard
from select2reason.tags import CLOSED, OPENED

if TYPE_CHECKING:
    from select2reason.grading import Grader

Verify = Literal["auto", "pool", "grade", "off"]

VERSION = 7  # raised whenever an answer is taken, or a verdict given, in another way
_END_CHARS = 4_000  # of a response without tags, where its answer is looked for first
_BATCH = 2_048  # answers in the hands of the grader at once

_ANSWERS: dict[str, type[pl.DataType]] = {"said": pl.String, "expected": pl.String}


def answers_spec() -> ScorerSpec:
    """The taking of answers as a scorer: `said`, the final answer (null: none), and `expected`, the gold answer (null:
    there is none that an answer could be compared with)."""
    return ScorerSpec("answers", key_of(VERSION), ("head", "trace", "tail", "gold"), _ANSWERS, _Scorer, light=True)


class _Scorer:
    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        from select2reason.grading.rules import is_gold

        expected = [gold if is_gold(gold) else None for gold in map(gold_answer, batch["gold"])]
        wanted = pl.Series([gold is not None for gold in expected], dtype=pl.Boolean)
        said = [final_answer(text) if text else None for text in map(_reply, *_replies(batch.filter(wanted)))]
        places = wanted.arg_true()
        taken = pl.repeat(None, batch.height, dtype=pl.String, eager=True).scatter(
            places, pl.Series(said, dtype=pl.String)
        )
        return pl.DataFrame({"said": taken, "expected": pl.Series(expected, dtype=pl.String)})

    def close(self) -> None:
        """There is nothing to let go of."""


def _replies(batch: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """The part of each response that its final answer is taken from, "" where the thinking never ended: what follows
    the thinking, or all of it where the pool has traces alone and their tags were put on here (`tags.wrap`).

    Before it the end of a long response without tags, which will do where it holds a box that is filled and nothing
    before it could matter; else null.
    """
    tagless = (pl.col("head") == "") & (pl.col("tail") == "")
    end = pl.col("trace").str.tail(_END_CHARS)
    plain = ~pl.col("trace").str.contains(ANOTHER_QUESTION) & ~pl.col("trace").str.starts_with("{")
    alone = (pl.col("head") == OPENED) & (pl.col("tail") == CLOSED)
    bare, long = tagless | alone, pl.col("trace").str.len_chars() > _END_CHARS
    parts = batch.select(
        end=pl.when(bare & long & end.str.contains("boxed{", literal=True) & plain).then(end),
        whole=pl.when(bare).then("trace").otherwise("tail"),
    )
    return parts["end"], parts["whole"]


def _reply(end: str | None, whole: str) -> str:
    return end if end is not None and has_box(end) else whole


# --- verdicts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verified:
    """Of each row whether an answer is there and whether it is right, null where that is not asked or cannot be told;
    `notes` say what came of the grading."""

    answered: pl.Series
    right: pl.Series
    notes: tuple[str, ...] = ()


def verify(pool: Pool, mode: Verify, *, asked: bool = True, by_gold: bool = True) -> Verified:
    """Verdicts for every row. `pool`: its own flags; `grade`: against the gold answers, whatever its flags say; `auto`:
    its flags and, unless `by_gold` is false, the gold answers for rows without one; `off`: its flags, as `pool`, but
    nothing is asked of it. Unless answers are `asked` for, none is looked for, and flags are all there is.

    Raises UsageError where the mode needs flags, or gold answers, and the pool has none.
    """
    flags = pool.narrow(["correct"])["correct"].cast(pl.Boolean)
    if mode == "pool" and flags.null_count() == pool.rows:
        raise UsageError(
            "--verify pool, but the pool has no correctness flags; name them with --columns correct=COLUMN"
        )
    if not asked:
        return Verified(pl.repeat(None, pool.rows, dtype=pl.Boolean, eager=True), flags)
    answers = read_scores(pool, answers_spec())
    has_gold = answers["expected"].is_not_null()
    if mode == "grade" and not has_gold.any():
        raise UsageError("--verify grade, but the pool has no gold answers; name them with --columns gold=COLUMN")
    answered = pl.select(pl.when(has_gold).then(answers["said"].is_not_null())).to_series()
    if mode == "pool" or not (by_gold or mode == "grade"):
        return Verified(answered, flags)
    wanted = has_gold if mode == "grade" else has_gold & flags.is_null()
    graded = _graded(pool, answers, wanted, again=mode == "grade")
    right = graded if mode == "grade" else pl.select(pl.coalesce(flags, graded)).to_series()
    return Verified(answered, right, tuple(_notes(graded.filter(wanted), flags.filter(wanted))))


def _notes(graded: pl.Series, flags: pl.Series) -> Iterator[str]:
    """Of the answers that were graded, what their verdicts and their own flags are."""
    if unknown := graded.null_count():
        yield f"of {len(graded):,} answers that were graded {unknown:,} could not be judged"
    both = len(graded) - (graded.is_null() | flags.is_null()).sum()
    if differ := int((graded != flags).sum()):
        yield f"the grader and the pool's own flags differ on {differ:,} of {both:,} answers"


def _graded(pool: Pool, answers: pl.DataFrame, wanted: pl.Series, *, again: bool) -> pl.Series:
    """The grader's verdict on every row that is wanted, null on every other; what is kept is not graded again."""
    if not wanted.any():
        return pl.repeat(None, pool.rows, dtype=pl.Boolean, eager=True)
    fingerprint = key_of(VERSION, again, [version(name) for name in ("math-verify", "sympy")])
    spec = ScorerSpec("verdicts", fingerprint, (), {"right": pl.Boolean}, _no_scorer)
    if missing := missing_shards(pool, spec):
        from select2reason.grading import Grader

        asked = answers.with_columns(wanted=wanted)
        parts = [asked.slice(int(pool.starts[shard]), pool.shards[shard]) for shard in missing]
        count, start = sum(int(part["wanted"].sum()) for part in parts), time.monotonic()
        say(f"plan: verify: {count:,} answers to grade against gold answers")
        with stage("verifying", count, unit="answers") as advance, Grader() as grader:
            for shard, part in zip(missing, parts, strict=True):
                write_shard(_verdicts(part, grader, advance), shard_path(spec.folder(pool.root), shard))
        taken = max(time.monotonic() - start, 1e-3)
        say(f"verify: {count:,} answers graded in {taken:.1f} s ({count / taken:,.0f} a second)")
    return read_scores(pool, spec)["right"]


def _no_scorer() -> Scorer:
    raise AssertionError("verdicts are not given by a scorer")


def _verdicts(part: pl.DataFrame, grader: Grader, advance: Callable[[float], None]) -> pl.DataFrame:
    rows = part["wanted"].arg_true()
    right: list[bool | None] = []
    for start in range(0, len(rows), _BATCH):
        some = part[rows.slice(start, _BATCH)]
        right += grader.grade(zip(some["said"], some["expected"], strict=True))
        advance(some.height)
    verdicts = pl.repeat(None, part.height, dtype=pl.Boolean, eager=True)
    return pl.DataFrame({"right": verdicts.scatter(rows, pl.Series(right, dtype=pl.Boolean))})
