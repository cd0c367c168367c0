"""The report of a recipe's run: what each variant took, what its training cost, and what its model can do.

report.md for people, report.json for machines. Every figure is read from what a stage left; what is not there is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from select2reason.errors import UsageError, in_a_line
from select2reason.evaluation.comparison import PROBLEMS, Comparison, Paired, compare, read_other
from select2reason.files import json_bytes, refuse_other_format, write_whole
from select2reason.recipe import BASE, Recipe
from select2reason.tables import read_own

FILES = ("report.md", "report.json")
_NONE = "–"


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant's figures; None where a stage was not part of the recipe. `gpu_hours` are an estimate for one epoch
    on an H100 (`cost.FORMULA`), `pass_at_1` holds value and standard error by benchmark."""

    name: str
    rows: int | None
    tokens: int | None
    gpu_hours: float | None
    steps: int | None
    time_s: float | None
    first_loss: float | None
    last_loss: float | None
    pass_at_1: Mapping[str, tuple[float | None, float | None]]
    average: float | None
    against: Comparison | None


def write_results(recipe: Recipe, out: Path) -> None:
    """Write both files, where they do not say it already."""
    names = [BASE, *recipe.variants] if recipe.base else list(recipe.variants)
    variants = [_variant(name, recipe, out) for name in names]
    told = {"name": recipe.name, "about": recipe.about, "against": recipe.against}
    page = ("\n".join(_page(recipe, variants)) + "\n").encode()
    figures = json_bytes(told | {"variants": [asdict(one) for one in variants]})
    for name, content in zip(FILES, (page, figures), strict=True):
        if not (file := out / name).is_file() or file.read_bytes() != content:
            write_whole(file, content)


def _variant(name: str, recipe: Recipe, out: Path) -> Variant:
    chosen, tuned, asked = (
        _json(out / part / name / file)
        for part, file in (("select", "manifest.json"), ("train", "manifest.json"), ("evaluate", "results.json"))
    )
    figures = {one["benchmark"]: one["pass_at_1"] for one in asked.get("benchmarks", [])}
    compared = asked and recipe.against is not None and name != recipe.against
    return Variant(
        name=name,
        rows=chosen.get("selected"),
        tokens=_tokens(out / "select" / name),
        gpu_hours=chosen.get("gpu_hours", {}).get("selected"),
        steps=tuned.get("steps"),
        time_s=tuned.get("time_s"),
        first_loss=tuned.get("first_loss"),
        last_loss=tuned.get("last_loss"),
        pass_at_1={bench: (one["value"], one["stderr"]) for bench, one in figures.items()},
        average=asked.get("average"),
        against=_compared(out, name, str(recipe.against)) if compared else None,
    )


def _compared(out: Path, name: str, against: str) -> Comparison:
    ours = out / "evaluate" / name
    problems = read_own(ours / PROBLEMS, fix="make it anew with evaluate --from-samples")
    return compare(problems, read_other(out / "evaluate" / against, ours))


def _tokens(selection: Path) -> int | None:
    files = sorted((selection / "data").glob("*.parquet"))
    if not files:
        return None
    return int(pl.scan_parquet(files, glob=False).select(pl.col("total_tokens").cast(pl.Int64).sum()).collect().item())


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        held: dict[str, Any] = orjson.loads(file.read_bytes())
        if "format" in held:
            refuse_other_format(file, held, 1, "choose another --out")
    except (orjson.JSONDecodeError, TypeError) as error:
        raise UsageError(f"{file} is damaged ({in_a_line(error)}); remove its folder and run again") from error
    return held


# --- the page -------------------------------------------------------------------------------------------------------


def _page(recipe: Recipe, variants: Sequence[Variant]) -> Iterator[str]:
    yield f"# {recipe.name}"
    yield ""
    if recipe.about:
        yield recipe.about
        yield ""
    yield "## What was taken, and what training it cost"
    yield ""
    head = ("variant", "examples", "tokens", "H100 hours, one epoch", "steps", "training", "loss, first and last step")
    yield from _table(head, [_cost(one) for one in variants if one.name != BASE])
    yield ""
    yield "The hours are an estimate from the tokens alone; the training's time is what the steps took on this machine."
    benchmarks = list(dict.fromkeys(name for one in variants for name in one.pass_at_1))
    if not benchmarks:
        return
    yield ""
    yield "## What the models can do: pass@1 in percent, in brackets its standard error"
    yield ""
    average = ["average"] if len(benchmarks) > 1 else []
    yield from _table(("model", *benchmarks, *average), [_ability(one, benchmarks) for one in variants])
    if compared := [one for one in variants if one.against is not None]:
        yield ""
        yield f"## Against {recipe.against}, problem by problem"
        yield ""
        yield from _table(("model", "benchmark", "problems", "pass@1, difference and 95% interval"), _pairs(compared))
        yield ""
        yield "Where an interval holds 0, these problems do not tell the two apart."
        for one in compared:
            yield from (f"\n{note}" for note in _notes(one, recipe))


def _notes(one: Variant, recipe: Recipe) -> Iterator[str]:
    """What was not alike."""
    sides = one.name, str(recipe.against)
    if len({recipe.models[name] for name in sides}) > 1:
        ours, theirs = (f"{name} {'is' if name == BASE else 'was tuned from'} {recipe.models[name]}" for name in sides)
        yield f"{ours}, and {theirs}: the difference is of the models, too"
    yield from (f"{one.name}: {note}" for note in (one.against.notes if one.against else ()))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _cost(one: Variant) -> list[str]:
    first, last = (_NONE if loss is None else f"{loss:.3f}" for loss in (one.first_loss, one.last_loss))
    return [
        one.name,
        _count(one.rows),
        _count(one.tokens),
        _NONE if one.gpu_hours is None else f"{one.gpu_hours:,.3g}",
        _count(one.steps),
        _NONE if one.time_s is None else _time(one.time_s),
        f"{first}, {last}",
    ]


def _ability(one: Variant, benchmarks: Sequence[str]) -> list[str]:
    figures = (one.pass_at_1.get(name, (None, None)) for name in benchmarks)
    average = [_figure(one.average, None)] if len(benchmarks) > 1 else []
    return [one.name, *(_figure(*figure) for figure in figures), *average]


def _figure(value: float | None, error: float | None) -> str:
    if value is None:
        return _NONE
    return f"{100 * value:.1f}" if error is None else f"{100 * value:.1f} ({100 * error:.1f})"


def _pairs(compared: Sequence[Variant]) -> list[list[str]]:
    return [
        [one.name, pair.benchmark, f"{pair.pass_at_1.problems:,}", _difference(pair)]
        for one in compared
        if one.against is not None
        for pair in one.against.benchmarks
    ]


def _difference(pair: Paired) -> str:
    found = pair.pass_at_1
    if found.value is None:
        return _NONE
    if found.low is None or found.high is None:
        return f"{100 * found.value:+.1f}"
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _count(value: int | None) -> str:
    return _NONE if value is None else f"{value:,}"


def _time(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:,.0f} s" if minutes < 2 else f"{minutes:,.0f} min" if minutes < 120 else f"{minutes / 60:,.1f} h"
