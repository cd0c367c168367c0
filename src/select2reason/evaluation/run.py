"""EVALUATE (METHOD 7): benchmarks put to a model, every sample kept, figures with their standard errors.

OUT/BENCHMARK/ holds what was asked (problems.jsonl) and every sample (samples.jsonl, one line each, only ever added
to); OUT/answers.parquet and OUT/problems.parquet what they come to, one row a sample and a problem; OUT/results.json
and OUT/results.md the figures. Run again, a killed evaluation goes on; `regrade` makes all figures anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import orjson
import polars as pl

from select2reason.answering import Drawing, claim, draw_missing, folder_of_answers, same_draws, same_model
from select2reason.backends import BackendSettings
from select2reason.benchmarks import Benchmark
from select2reason.errors import OutputError, RunError, UsageError
from select2reason.evaluation.comparison import PROBLEMS, Other, check_in_common, compare, read_other
from select2reason.evaluation.problems import Asking, ProblemSet, load_problems, write_problems
from select2reason.evaluation.results import ANSWERS, Evaluation, write_results
from select2reason.evaluation.scoring import Score, Scored, score_benchmark
from select2reason.grading import Grader
from select2reason.sampling import PAPER_SYSTEM, Samples, distinct, holds_answers
from select2reason.tables import write_table

ASKED, SAMPLES = "problems.jsonl", "samples.jsonl"  # in each benchmark's folder
_MODEL_NOTE, _DRAW_NOTE = "evaluation.json", "sampling.json"


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is drawn otherwise than a benchmark says; None: as it says."""

    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int = 0


def evaluate(
    found: Sequence[ProblemSet],
    out: Path | str,
    *,
    engine: BackendSettings,
    overrides: Overrides | None = None,
    system: str = PAPER_SYSTEM,
    against: Path | str | None = None,
    workers: int | None = None,
) -> Evaluation:
    """Put the problems to a model, keep and grade its answers, and write the figures of all that OUT then holds; kept
    answers are not drawn again.

    Raises OutputError where OUT holds the answers of another model, prompt or temperature, or to other problems;
    UsageError where a benchmark is named twice, or `against` is no evaluation with a problem in common.
    """
    if not found:
        raise UsageError("no benchmark is named; give what read_problems reads")
    out, against = Path(out), None if against is None else Path(against)
    other = None if against is None else read_other(against, out)
    names = _distinct([one.benchmark.name for one in found])
    askings = [_asking(one.benchmark, engine, overrides or Overrides(), system) for one in found]
    if other is not None:
        keys = {(one.benchmark.name, problem.key) for one in found for problem in one.problems}
        check_in_common(keys, other)
    with folder_of_answers(out):
        held = any(holds_answers(path) for path in out.glob(f"*/{SAMPLES}"))
        claim(out / _MODEL_NOTE, {"engine": same_model(engine), "system": system}, holds_answers=held)
        with ExitStack() as opened:
            drawings = [_drawing(*one, out, opened) for one in zip(found, askings, strict=True)]
            drawn = draw_missing(engine, drawings)
        others = [name for name in _held(out) if name not in names]  # of earlier runs: results are of all that is there
        return _score_all(out, out, [*names, *others], other, drawn=drawn, workers=workers)


def regrade(
    samples: Path, out: Path, *, names: Sequence[str] = (), against: Path | None = None, workers: int | None = None
) -> Evaluation:
    """Make all figures of an evaluation anew from its kept samples, without a model, into OUT (which may be the same).

    `names` are the benchmarks wanted, by default all. Raises UsageError where the folder holds no samples.
    """
    other = None if against is None else read_other(against, out)
    there = _held(samples)
    if not there:
        raise UsageError(f"--from-samples {samples}: no samples there; give a folder that `evaluate` wrote")
    if unknown := [name for name in names if name not in there]:
        raise UsageError(f"--from-samples {samples} holds no {unknown[0]}; it holds {', '.join(there)}")
    _own_results(out, samples)
    with folder_of_answers(out):
        return _score_all(samples, out, _distinct(names) or there, other, drawn=0, workers=workers)


def _held(samples: Path) -> list[str]:
    """The benchmarks that a folder holds samples of."""
    return sorted(path.parent.name for path in samples.glob(f"*/{ASKED}") if (path.parent / SAMPLES).is_file())


def _own_results(out: Path, samples: Path) -> None:
    """Make OUT for figures alone, or refuse one that holds another evaluation, or something else."""
    try:
        if out.resolve() == samples.resolve():
            return
        if (out / _MODEL_NOTE).exists():
            raise OutputError(f"{out} holds the samples of another evaluation; choose another --out")
        if out.is_dir() and not (out / PROBLEMS).is_file() and any(out.iterdir()):
            raise OutputError(f"{out} holds something else; choose another --out")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot use {out} ({error}); choose another --out") from error


def _distinct(names: Sequence[str]) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{', '.join(twice)} is named twice; name each benchmark once, and files differently")
    return list(names)


def _drawing(found: ProblemSet, asking: Asking, out: Path, opened: ExitStack) -> Drawing:
    """One benchmark's folder, claimed and opened, and what is to be drawn into it."""
    folder, sampling = out / found.benchmark.name, asking.sampling
    if (folder / ASKED).is_file():
        before, _ = load_problems(folder / ASKED)
        if not {one.key for one in before.problems} & {one.key for one in found.problems}:
            told = f"{folder} holds the answers to other problems, of {before.source}"
            raise OutputError(f"{told}; choose another --out, or name the file differently")
    claim(folder / _DRAW_NOTE, same_draws(sampling), holds_answers=holds_answers(folder / SAMPLES))
    kept = opened.enter_context(Samples(folder / SAMPLES))
    drawing = Drawing(found.benchmark.name, distinct(map(asking.asked, found.problems)), sampling, kept)
    write_problems(found, asking, folder / ASKED)
    return drawing


def _asking(benchmark: Benchmark, engine: BackendSettings, overrides: Overrides, system: str) -> Asking:
    given = {name: getattr(overrides, name) for name in ("n", "temperature", "top_p", "max_tokens")}
    sampling = replace(benchmark.sampling, seed=overrides.seed, **{k: v for k, v in given.items() if v is not None})
    if sampling.n > 1 and sampling.temperature == 0:
        told = f"{benchmark.name}: {sampling.n} greedy answers would all be the same"
        raise UsageError(f"{told}; add --temperature 0.6, or --answers 1")
    return Asking(sampling, system, engine.model)


def _score_all(
    samples: Path,
    out: Path,
    names: Sequence[str],
    other: Other | None,
    *,
    drawn: int,
    workers: int | None,
) -> Evaluation:
    scored: list[Scored] = []
    models: dict[str, None] = {}
    with Grader(workers) as grader:
        for name in names:
            found, asking = load_problems(samples / name / ASKED)
            models[asking.model] = None
            scored.append(score_benchmark(found, asking, samples / name / SAMPLES, grader))
    problems = pl.concat([one.problems for one in scored])
    scores = tuple(one.score for one in scored)
    done = Evaluation(
        out=out,
        samples=samples,
        model=", ".join(models),
        version=version("select2reason"),
        settings=_settings(samples / _MODEL_NOTE),
        drawn=drawn,
        benchmarks=scores,
        average=_average(scores),
        comparison=None if other is None else compare(problems, other),
        notes=tuple(note for score in scores for note in _notes(score)),
    )
    write_table(pl.concat([one.answers for one in scored]), out / ANSWERS)
    write_table(problems, out / PROBLEMS)
    write_results(done)
    return done


def _settings(note: Path) -> Mapping[str, object]:
    if not note.is_file():
        return {}
    try:
        held: dict[str, object] = orjson.loads(note.read_bytes())
    except orjson.JSONDecodeError as error:
        raise RunError(f"{note} is damaged ({error}); move it away, and the same command goes on without it") from error
    return held


def _average(scores: Sequence[Score]) -> float | None:
    values = [score.pass_at_1.value for score in scores]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) > 1 else None


def _notes(score: Score) -> Iterator[str]:
    """What a reader must know of a benchmark's figures."""
    name, cut = score.benchmark, round((score.cut_off or 0) * score.answers)
    limit = f"{score.sampling.max_tokens:,} tokens or at the context's end"
    told = {
        f"the first {score.problems:,} of {score.rows:,} problems, not the benchmark": score.problems < score.rows,
        f"{score.source} holds {score.rows:,} problems, the benchmark has {score.expected}": score.expected
        not in (None, score.rows),
        f"{score.repeated:,} problems are the same as one before them": score.repeated,
        f"{score.missing:,} answers are missing, or cut off by a smaller limit; run again to draw them": score.missing,
        f"{score.unused:,} kept answers are not used: they are of problems or numbers not asked for now": score.unused,
        f"{score.ungradable:,} problems have no gold answer to judge by; they are left out": score.ungradable,
        f"{score.not_judged:,} answers could not be judged; they are left out of pass@1": score.not_judged,
        f"{cut:,} of {score.answers:,} answers were cut off at {limit}; a larger --max-tokens redoes them": cut,
    }
    yield from (f"{name}: {note}" for note, holds in told.items() if holds)
