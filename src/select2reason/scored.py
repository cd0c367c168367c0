"""All that is known of a pool's rows before a choice is made: traces measured, questions judged and compared, answers
verified, flags laid out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from select2reason import cache, contamination, questions
from select2reason.asking import HITS, question_spec
from select2reason.contamination import Prints
from select2reason.difficulty import Estimator, ask, find_estimator
from select2reason.errors import PoolError, UsageError
from select2reason.health.endings import Ceiling
from select2reason.hub import is_hub_id
from select2reason.opening import Opened
from select2reason.pool import Pool, told_of
from select2reason.progress import say, stage
from select2reason.scoring import ScorerSpec, read_scores, score
from select2reason.scoring.base import missing_shards
from select2reason.settings import PoolSettings, ScoreSettings
from select2reason.sources import find_files
from select2reason.table import Measured, length_ceilings, score_table
from select2reason.tables import read_table
from select2reason.trace import measure_spec
from select2reason.verification import Verify, answers_spec, verify

_HEALTH = (
    "looping",
    "cut_off",
    "damaged_tags",
    "language_switch",
    "runs_on",
    "duplicate",
)  # rules by columns of HEALTH
_SAMPLE = 2_000  # questions of which the estimator's notes judge what kind of pool this is


@dataclass(frozen=True, slots=True)
class Checks:
    """How answers are verified, and under which rules rows are dropped; see `verification.verify`.

    `every`: all that can be asked of a row is; else what a rule in `dropping`, a cap of examples a question
    (`capped`), the preference for a question's right example (`prefer_right`), or a setting goes by. What is not asked
    is null. `one_generation`: `cut_off` is the pool's own flag.
    """

    verify: Verify = "auto"
    by_gold: bool = True
    cutoff_tokens: int = 0
    dropping: Collection[str] = frozenset()
    capped: bool = False
    prefer_right: bool = False
    one_generation: bool = False
    every: bool = True

    @property
    def health(self) -> bool:
        """Whether traces are looked at for more than their lengths."""
        return self._asked({*_HEALTH} - ({"cut_off"} if self.one_generation else set()))

    @property
    def benchmarks(self) -> bool:
        """Whether benchmark problems are looked for where nothing is said of it."""
        return self._asked({"contaminated"})

    @property
    def questions(self) -> bool:
        """Whether questions are compared with one another."""
        return self.capped or self._asked({"duplicate"})

    @property
    def answers(self) -> bool:
        """Whether final answers are looked for."""
        rules = {"no_answer", "wrong_answer"} if self.by_gold else {"no_answer"}
        wanted = self._asked(rules) or (self.prefer_right and self.by_gold)
        return self.verify == "grade" or (self.verify != "off" and wanted)

    def _asked(self, rules: Collection[str]) -> bool:
        return self.every or not frozenset(self.dropping).isdisjoint(rules)


@dataclass(frozen=True, slots=True)
class Scorers:
    """What measures traces and questions, and where difficulty comes from. `prints` is None where no benchmark is
    looked for, `answers` and `questions` where nothing is asked of them."""

    traces: ScorerSpec
    questions: ScorerSpec | None
    answers: ScorerSpec | None
    prints: Prints | None
    estimator: Estimator

    @property
    def of_rows(self) -> list[ScorerSpec]:
        """Those that score the pool's rows, while it is read if they keep up."""
        spec = self.estimator.spec
        own = spec if spec and not spec.distinct else None
        every = (self.traces, self.questions, self.answers, own)
        return [one for one in every if one is not None]

    @property
    def specs(self) -> list[ScorerSpec]:
        """All of them."""
        spec = self.estimator.spec
        return [*self.of_rows, *([spec] if spec and spec.distinct else [])]


@dataclass(frozen=True, slots=True)
class Scored:
    """A pool and its score table; `evidence` has a row for each hit in a benchmark (None: not looked for), `ceilings`
    are the lengths at which its generations were stopped (None: likewise), `notes` what its user should know."""

    opened: Opened
    table: pl.DataFrame
    scorers: Scorers
    evidence: pl.DataFrame | None
    ceilings: Sequence[Ceiling] | None
    notes: tuple[str, ...]

    @property
    def pool(self) -> Pool:
        """The canonical pool."""
        return self.opened.pool


def find_scorers(scores: ScoreSettings, checks: Checks) -> Scorers:
    """The scorers that these settings name. Raises UsageError for a tokenizer or a difficulty that is not known, and
    for a benchmark file that asks nothing."""
    estimator = find_estimator(scores.difficulty, engine=scores.engine, prompt=scores.judge)
    prints = _prints(scores) if checks.benchmarks or scores.benchmark_files or scores.contamination else None
    return Scorers(
        traces=measure_spec(scores.tokenizer, health=checks.health),
        questions=question_spec(prints) if checks.questions or prints else None,
        answers=answers_spec() if checks.answers else None,
        prints=prints,
        estimator=estimator,
    )


def _prints(scores: ScoreSettings) -> Prints | None:
    """The prints that come with the program, and those of the user's own files under the files' names."""
    if scores.contamination is False:
        return None
    bundled = contamination.load_prints()
    own = _questions_of(scores.benchmark_files)
    return contamination.joined(bundled, contamination.make_prints(own)) if own else bundled


def _questions_of(names: Sequence[str]) -> dict[str, list[str | None]]:
    """The questions of each file, by its name without its ending; files of one name are one benchmark."""
    own: dict[str, list[str | None]] = {}
    for name in names:
        files = [name] if is_hub_id(name) else [str(file.path) for file in find_files(name, every_kind=True)]
        for file in files:
            try:
                asked = read_table([file]).question.to_list()
            except PoolError as error:
                told = str(error).partition("; name it:")[0]
                raise UsageError(f"--benchmark-files: {told}; call the column of questions `question`") from error
            own.setdefault(Path(file).name.partition(".")[0], []).extend(asked)
    return own


def score_pool(opened: Opened, scorers: Scorers, settings: PoolSettings, checks: Checks) -> Scored:
    """Score what is not scored yet, and lay the score table out."""
    pool, estimator = opened.pool, scorers.estimator
    _say_plan(pool, scorers.of_rows, opened.meanwhile)
    for spec in scorers.of_rows:
        if missing := missing_shards(pool, spec):
            cache.refuse_unwritable(pool.root)
            with stage(spec.name, sum(pool.shards[shard] for shard in missing)) as advance:
                score(pool, spec, ray=settings.ray, progress=advance)
    verified = verify(pool, checks.verify, asked=scorers.answers is not None, by_gold=checks.by_gold)
    difficulty = _difficulty(pool, estimator, settings)
    traces = read_scores(pool, scorers.traces)
    asked = None if scorers.questions is None else read_scores(pool, scorers.questions)
    evidence = None if scorers.prints is None or asked is None else contamination.evidence(asked[HITS], scorers.prints)
    measured = Measured(traces, asked, difficulty, verified, evidence)
    ceilings = length_ceilings(traces) if checks.health else None
    table = score_table(pool, measured, ceilings=ceilings, cutoff_tokens=checks.cutoff_tokens, dropping=checks.dropping)
    notes = [*opened.notes, *estimator.notes(difficulty, _sample(pool))]
    notes += _all_alike(difficulty["difficulty"])
    notes += verified.notes
    notes += _unasked(scorers, checks)
    if others := int(table["other_numbers"].sum()):
        notes.append(f"{others:,} questions are benchmark problems with other numbers; they were not left out for it")
    return Scored(opened, table, scorers, evidence, ceilings, tuple(notes))


def _all_alike(difficulty: pl.Series) -> Iterator[str]:
    known = difficulty.drop_nulls()
    if len(known) > 1 and known.n_unique() == 1:
        yield f"every difficulty is {known[0]:g}, so it ranks nothing: the joint rank goes by length alone"


def _unasked(scorers: Scorers, checks: Checks) -> Iterator[str]:
    """What was not looked for, because no rule goes by it."""
    looked_for = {
        "loops and broken endings": checks.health,
        "missing answers": scorers.answers or checks.verify == "off",
        "questions that are alike": scorers.questions,
        "benchmark problems": scorers.prints,
    }
    if not checks.every and (left := [name for name, found in looked_for.items() if not found]):
        yield f"no rule here goes by {', '.join(left)}, so they were not looked for; --checks all does"


def _difficulty(pool: Pool, estimator: Estimator, settings: PoolSettings) -> pl.DataFrame:
    if estimator.of_pool is not None:
        return estimator.of_pool(pool)
    if estimator.of_questions is not None:
        return estimator.of_questions(pl.concat(questions.texts_of(pool)))
    assert estimator.spec is not None, "an estimator scores, or knows its numbers"
    if estimator.spec.distinct:
        asked = questions.of_pool(pool, cache.cache_root(settings.cache_dir))
        return ask(asked, estimator.spec, ray=settings.ray)
    return read_scores(pool, estimator.spec)


def _sample(pool: Pool) -> pl.Series:
    """Questions from all over the pool: the first batch of shards that stand evenly apart."""
    step = max(1, len(pool.shards) // 8)
    parts = [
        next(pool.batches(["question"], shard=n))["question"].head(_SAMPLE // 4)
        for n in range(0, len(pool.shards), step)
    ]
    found = pl.concat([pl.Series("question", [], dtype=pl.String), *parts])
    return found.gather_every(max(1, len(found) // _SAMPLE)).head(_SAMPLE)


def _say_plan(pool: Pool, specs: Sequence[ScorerSpec], meanwhile: Collection[str]) -> None:
    say(f"pool: {pool.rows:,} examples of {len(pool.labels)} files, in {len(pool.shards)} shards")
    aside = pool.quarantine()
    if first := next(aside, None):
        count = 1 + sum(1 for _ in aside)
        say(f"set aside: {count:,} rows or generations that cannot be used (first: {told_of(first)})")
    for spec in specs:
        missing = len(missing_shards(pool, spec))
        done = "scored while reading" if spec.name in meanwhile else "scored already"
        say(f"plan: {spec.name}: " + (f"{missing} of {len(pool.shards)} shards to score" if missing else done))
