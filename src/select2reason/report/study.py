"""The rethinking study (METHOD 1): do longer and harder examples rethink more, in this pool?

Traces are grouped by length (tenths) and by difficulty (quarters), and each group's mean number of rethinking
tokens is given with its n and standard error. Equal values always share a group (they share the mean rank, as
in METHOD 9.1), so a pool with many ties has fewer, uneven groups. It reads the score table alone, and it is
evidence, not a selector.
"""

from dataclasses import asdict, dataclass

import polars as pl

LENGTH_PARTS = 10
DIFFICULTY_PARTS = 4


@dataclass(frozen=True, slots=True)
class Group:
    """Traces of one part of the range; `low` and `high` are the smallest and largest value inside."""

    part: int  # 1 = shortest or easiest
    n: int
    low: float
    high: float
    mean: float  # rethinking tokens per trace
    stderr: float | None  # of the mean; null where n is 1
    per_1000: float  # all rethinking tokens of the group per 1,000 of its trace tokens


@dataclass(frozen=True, slots=True)
class Study:
    """All traces of the pool that have a length and a count, dropped examples too; others are `left_out`."""

    n: int
    left_out: int  # examples with an empty trace, or without a count
    no_difficulty: int  # of the n
    mean: float | None
    per_1000: float | None
    length_correlation: float | None  # Spearman, length against rethinking tokens; null where one is constant
    difficulty_correlation: float | None
    by_length: tuple[Group, ...]
    by_difficulty: tuple[Group, ...]
    by_length_easiest: tuple[Group, ...]  # the same tenths, within the easiest group of by_difficulty
    by_length_hardest: tuple[Group, ...]  # both are empty where there are not two difficulty groups

    def to_dict(self) -> dict[str, object]:
        """Plain numbers, lists and null, ready for JSON."""
        plain = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def rethinking_study(scores: pl.DataFrame) -> Study:
    """Needs `trace_tokens`, `rethinking_tokens` and `difficulty`; NaN in difficulty counts as null."""
    traces = _traces(scores)
    by_difficulty = _groups(traces, "difficulty", "difficulty_part")
    easiest, hardest = _ends(by_difficulty)
    rethinking = int(traces["rethinking"].sum())
    return Study(
        n=traces.height,
        left_out=scores.height - traces.height,
        no_difficulty=traces["difficulty"].null_count(),
        mean=_ratio(rethinking, traces.height),
        per_1000=_ratio(1000 * rethinking, int(traces["length"].sum())),
        length_correlation=_spearman(traces, "length"),
        difficulty_correlation=_spearman(traces, "difficulty"),
        by_length=_groups(traces, "length", "length_part"),
        by_difficulty=by_difficulty,
        by_length_easiest=_within(traces, easiest),
        by_length_hardest=_within(traces, hardest),
    )


def _traces(scores: pl.DataFrame) -> pl.DataFrame:
    counted = scores.select(
        length=pl.col("trace_tokens").cast(pl.Int64),
        rethinking=pl.col("rethinking_tokens").cast(pl.Int64),
        difficulty=finite("difficulty"),
    ).filter(pl.col("length") > 0, pl.col("rethinking").is_not_null())
    return counted.with_columns(
        length_part=_part("length", LENGTH_PARTS), difficulty_part=_part("difficulty", DIFFICULTY_PARTS)
    )


def finite(column: str) -> pl.Expr:
    """The column as f64, with null for NaN and the infinities."""
    value = pl.col(column).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value)


def _part(column: str, parts: int) -> pl.Expr:
    """1..parts by mean rank: ties stay together, and without ties the parts are equal to within one trace."""
    value = pl.col(column)
    below = (value.rank("average") - 0.5) / value.count()
    return (below * parts).floor().cast(pl.Int64) + 1


def _groups(traces: pl.DataFrame, value: str, part: str) -> tuple[Group, ...]:
    table = (
        traces.filter(pl.col(part).is_not_null())
        .group_by(part)
        .agg(
            n=pl.len(),
            low=pl.col(value).min().cast(pl.Float64),
            high=pl.col(value).max().cast(pl.Float64),
            mean=pl.col("rethinking").mean(),
            stderr=pl.col("rethinking").std() / pl.len().sqrt(),
            per_1000=1000 * pl.col("rethinking").sum() / pl.col("length").sum(),
        )
        .sort(part)
    )
    return tuple(Group(**row) for row in table.rename({part: "part"}).iter_rows(named=True))


def _ends(groups: tuple[Group, ...]) -> tuple[int, int]:
    """The parts of the easiest and the hardest group; 0, which no trace has, where they would be the same."""
    return (groups[0].part, groups[-1].part) if len(groups) > 1 else (0, 0)


def _within(traces: pl.DataFrame, difficulty_part: int) -> tuple[Group, ...]:
    return _groups(traces.filter(pl.col("difficulty_part") == difficulty_part), "length", "length_part")


def _ratio(total: float, n: float) -> float | None:
    return total / n if n else None


def _spearman(traces: pl.DataFrame, column: str) -> float | None:
    pair = traces.select(column, "rethinking").drop_nulls()
    if min(pair[column].n_unique(), pair["rethinking"].n_unique()) < 2:
        return None
    value = pair.select(pl.corr(column, "rethinking", method="spearman")).item()
    return float(value)
