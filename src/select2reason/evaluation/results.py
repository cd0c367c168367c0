"""results.json for machines and results.md for people: the same figures, none without what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from select2reason.evaluation.comparison import ALL, PROBLEMS, Comparison, Paired
from select2reason.evaluation.metrics import Difference, Figure
from select2reason.evaluation.scoring import Score
from select2reason.files import write_whole
from select2reason.signs import in_prose

RESULTS_JSON, RESULTS_MD = "results.json", "results.md"
ANSWERS = "answers.parquet"
FILES = (RESULTS_MD, RESULTS_JSON, PROBLEMS, ANSWERS)
_HEAD = (
    "benchmark",
    "problems",
    "n",
    "pass@1",
    "maj@n",
    "tokens",
    "rethinking tokens",
    "cut off",
    "no answer",
    "not judged",
)
_AGAINST = (
    "benchmark",
    "problems",
    "pass@1",
    "maj@n",
    "tokens",
    "rethinking tokens",
    "better",
    "worse",
    "equal",
)


_READING = (
    "Differences problem by problem, ours minus theirs, with their 95% interval; where an interval holds 0, these "
    "problems do not tell the two apart."
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of an evaluation. `average` is the mean of the benchmarks' pass@1, each counted once; None for a single
    one, or where one has none. `settings` are what all answers depend on; `drawn` answers are new."""

    out: Path
    samples: Path
    model: str
    version: str
    settings: Mapping[str, object]
    drawn: int
    benchmarks: tuple[Score, ...]
    average: float | None
    comparison: Comparison | None
    notes: tuple[str, ...]


def write_results(done: Evaluation) -> None:
    """Write both, each whole or not at all."""
    machine = orjson.dumps(done, option=orjson.OPT_INDENT_2, default=str) + b"\n"
    for name, content in ((RESULTS_MD, render(done).encode()), (RESULTS_JSON, machine)):
        write_whole(done.out / name, content)


def render(done: Evaluation) -> str:
    """The page: figures in Markdown tables, each mean with its standard error, then the notes."""
    blocks = [
        [f"# {in_prose(done.model)}"],
        table(_HEAD, [_row(score) for score in done.benchmarks]),
        _mean(done),
        [_sampling(score) for score in done.benchmarks],
        *([] if done.comparison is None else _compared(done.comparison)),
        [f"- {in_prose(note)}" for note in done.notes],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _mean(done: Evaluation) -> list[str]:
    if done.average is None:
        return []
    return [f"Mean of the pass@1 of {len(done.benchmarks)} benchmarks, each counted once: {done.average:.3f}."]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, its columns aligned for reading as plain text."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    every = [head, ["-" * width for width in widths], *rows]
    return ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in every]


def _row(score: Score) -> list[str]:
    of = score.pass_at_1.problems
    return [
        score.benchmark,
        f"{of:,}",
        f"{score.sampling.n}",
        figure(score.pass_at_1),
        figure(score.majority, of=of) if score.majority else "",
        figure(score.tokens, ",.0f"),
        figure(score.rethinking_tokens, ",.1f"),
        _percent(score.cut_off),
        _percent(score.no_answer),
        f"{score.not_judged:,}",
    ]


def _sampling(score: Score) -> str:
    sampling, of = score.sampling, score.pass_at_1.problems
    how = f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}" if sampling.temperature else "greedy"
    told = f"- {score.benchmark} ({in_prose(score.source)}): n = {sampling.n}, {how}, seed {sampling.seed}"
    told += f", at most {sampling.max_tokens:,} tokens"
    passes = [f"pass@{k} {figure(value, of=of)}" for k, value in score.pass_at_k.items()]
    low, high = (_number(value) for value in (score.pass_at_1_low, score.pass_at_1_high))
    bounds = [f"pass@1 with the {score.not_judged:,} not judged as wrong {low}, as right {high}"]
    return "; ".join([told, *passes, *(bounds if score.not_judged else [])])


def figure(value: Figure, form: str = ".3f", *, of: int | None = None) -> str:
    """A mean with its standard error in brackets, and the number of its problems where that is not `of`; "-" where
    there is none."""
    if value.value is None:
        return "-"
    error = "" if value.stderr is None else f" ({value.stderr:{form}})"
    return f"{value.value:{form}}{error}" + (
        f", {value.problems:,} problems" if of not in (None, value.problems) else ""
    )


def _compared(comparison: Comparison) -> list[list[str]]:
    """The blocks of a comparison."""
    return [
        [f"## Against {in_prose(str(comparison.against))}"],
        table(_AGAINST, [_against(one) for one in comparison.benchmarks]),
        [_READING],
        list(_remarks(comparison)),
    ]


def _remarks(comparison: Comparison) -> Iterator[str]:
    if comparison.benchmarks and comparison.benchmarks[-1].benchmark == ALL:
        yield f"- {ALL}: every problem counts once, so that large benchmarks count more."
    for one in comparison.benchmarks:
        if one.pass_at_1.low is None:
            yield f"- {one.benchmark}: no interval; too few problems, or all of them differ by the same."
        if one.not_judged:
            yield f"- {one.benchmark}: {one.not_judged:,} common problems could not be judged on one of the sides."
        if one.benchmark != ALL and (one.only_ours or one.only_theirs):
            yield f"- {one.benchmark}: {one.only_ours:,} problems are ours alone, {one.only_theirs:,} theirs alone."
    yield from (f"- {in_prose(note)}" for note in comparison.notes)


def _against(one: Paired) -> list[str]:
    return [
        one.benchmark,
        f"{one.pass_at_1.problems:,}",
        _interval(one.pass_at_1, "+.3f"),
        _interval(one.majority, "+.3f") if one.majority else "",
        _interval(one.tokens, "+,.0f"),
        _interval(one.rethinking_tokens, "+,.1f"),
        f"{one.better:,}",
        f"{one.worse:,}",
        f"{one.equal:,}",
    ]


def _interval(value: Difference, form: str) -> str:
    if value.value is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{value.value:{form}}"
    return f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
