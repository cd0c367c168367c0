"""The page's sentences: how it was chosen (METHOD 4, 9.6, 9.10), what the study shows, what to know first.

They are made from the manifest and the aggregates; what the manifest lacks is left out, never guessed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from select2reason.report import plain
from select2reason.report.facts import Flag, Totals
from select2reason.report.study import Group, Study

_STRATEGIES = {
    "random": "A uniform draw from the eligible examples was taken.",
    "diverse": "Equal numbers were drawn at random from every category of the eligible examples.",
    "longest": "The eligible examples with the longest traces were taken.",
    "shortest": "The eligible examples with the shortest traces were taken.",
    "middle": "The eligible examples around the median trace length were taken.",
    "hardest": "The eligible examples with the highest difficulty were taken.",
    "rethinking": "The eligible examples with the most rethinking tokens were taken.",
}
_SEEDED = ("random", "diverse")
_DIFFICULTIES = {
    "builtin": "the built-in model, from the question and, where there is one, its gold answer",
    "judge": "a judge model, from the question alone",
    "reward": "a reward model",
    "rollout": "1 - pass rate over rollouts",
    "column": "a column of the pool",
}
_CLEAR = 0.1  # a rank correlation below this is called no clear relation
_JUDGE_SILENT = 0.5  # a judge that puts less than this on "0" and "1" has not answered the question (METHOD 9.3)
_SAID_HERE = ("rank last in difficulty", "were asked for")  # notes of the run that have sentences of their own
_PART = 0.95  # measured for less than this part of the pool is worth a sentence
_GRAVE = ("no_trace", "looping", "cut_off", "wrong_answer", "contaminated")


def section(manifest: Mapping[str, object], key: str) -> Mapping[str, object]:
    """A nested part of the manifest; empty where it is absent or not a mapping."""
    part = manifest.get(key)
    return part if isinstance(part, Mapping) else {}


def number(value: object) -> float | None:
    """A figure, also where it is written as text; null where it is not one, or not finite."""
    try:
        figure = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return figure if math.isfinite(figure) else None


def how_chosen(parameters: Mapping[str, object]) -> Sequence[str]:
    """The rule, the size asked for, the limits, and where the difficulty comes from; one sentence each."""
    said = (_strategy(parameters), _size(parameters), _limits(parameters), _difficulty(parameters))
    return [sentence for sentence in said if sentence]


def how_compared(parameters: Mapping[str, object]) -> Sequence[str]:
    """What chose from what: the strategies, the size asked for, the limits, and where the difficulty comes from."""
    weight = number(parameters.get("weight"))
    joint = "" if weight is None else f" The joint ranker has the weight {weight:g}."
    each = f"Every strategy chose from the same eligible examples.{joint}"
    return [
        sentence for sentence in (each, _size(parameters), _limits(parameters), _difficulty(parameters)) if sentence
    ]


def _strategy(parameters: Mapping[str, object]) -> str:
    name = str(parameters.get("strategy", ""))
    if name == "joint":
        return _joint(number(parameters.get("weight")))
    seed = parameters.get("seed") if name in _SEEDED else None
    drawn = "" if seed is None else f" The seed was {seed}."
    return _STRATEGIES.get(name, f"Strategy: {name}." if name else "") + drawn


def _joint(weight: float | None) -> str:
    parts = "a weighted mean of the two" if weight is None else f"{weight:g} × the first + {1 - weight:g} × the second"
    return (
        "Every eligible example was ranked by difficulty (hardest first) and by trace length (longest first)."
        f" The joint rank is {parts}; the smallest joint ranks were taken."
    )


def _size(parameters: Mapping[str, object]) -> str:
    fraction, rows, budget = (number(parameters.get(key)) for key in ("fraction", "rows", "token_budget"))
    if budget is not None:
        return f"Asked for: as many as fit into {plain.count(budget)} tokens."
    if rows is not None:
        return f"Asked for: {plain.count(rows)} examples."
    return "" if fraction is None else f"Asked for: {100 * fraction:g}% of the eligible examples."


def _limits(parameters: Mapping[str, object]) -> str:
    preset, cap, cutoff = (parameters.get(key) for key in ("preset", "per_question", "cutoff_len"))
    limits = [] if preset is None else [f"preset {preset}"]
    if number(cap):
        limits.append(f"traces per question at most {plain.count(number(cap))}")
    if number(cutoff):
        limits.append(f"tokens per example at most {plain.count(number(cutoff))}")
    return f"Limits: {', '.join(limits)}." if limits else ""


def _difficulty(parameters: Mapping[str, object]) -> str:
    name = parameters.get("difficulty")
    if name is None:
        return ""
    kind, _, which = str(name).partition(":")
    known = _DIFFICULTIES.get(kind, kind)
    return f"Difficulty comes from {known}{f' ({which})' if which else ''}."


def study_sentences(study: Study) -> Sequence[str]:
    """What this pool shows, in its own figures; a comparison needs two groups."""
    by_length = _trend("length", ("shortest", "longest"), study.length_correlation, study.by_length)
    by_difficulty = _trend("difficulty", ("easiest", "hardest"), study.difficulty_correlation, study.by_difficulty)
    return [sentence for sentence in (by_length, by_difficulty) if sentence]


def _trend(what: str, ends: tuple[str, str], correlation: float | None, groups: Sequence[Group]) -> str:
    if correlation is None or len(groups) < 2:
        return f"Rethinking and {what} cannot be compared here: one of them does not vary, or is missing."
    first, last, (least, most) = groups[0], groups[-1], ends
    relation = "falls" if correlation < -_CLEAR else "rises" if correlation > _CLEAR else "has no clear relation"
    return (
        f"Rethinking {relation} with {what} (Spearman {correlation:.2f}): {least} to {most} group, "
        f"{first.mean:,.1f} to {last.mean:,.1f} tokens per trace."
        f" Per 1,000 trace tokens it is {first.per_1000:.2f} and {last.per_1000:.2f}."
    )


def notes(pool: pl.DataFrame, side: Totals, flags: Sequence[Flag], manifest: Mapping[str, object]) -> Sequence[str]:
    """What a reader should know first: what is missing, and what the judge did not answer."""
    said = (_quarantine(manifest), _no_difficulty(side), _unmeasured(flags), _judge(pool), _partly(flags))
    return [*(sentence for sentence in said if sentence), *_of_the_run(manifest)]


def selection_notes(
    selection: Totals, flags: Sequence[Flag], manifest: Mapping[str, object], eligible: int
) -> Sequence[str]:
    """The same for the selection: its size, its flaws, and figures that do not agree with the manifest."""
    said = (_short_of(selection, manifest), *_flaws(flags), *_disagreements(selection, manifest, eligible))
    return [sentence for sentence in said if sentence]


def _quarantine(manifest: Mapping[str, object]) -> str:
    n = number(section(manifest, "pool").get("set_aside"))
    return f"{plain.count(n)} rows or generations could not be used and are in quarantine.jsonl." if n else ""


def _no_difficulty(side: Totals) -> str:
    if not side.no_difficulty:
        return ""
    if side.no_difficulty == side.n:
        return "No example has a difficulty, so it can decide nothing."
    part = plain.share(side.no_difficulty / side.n)
    return f"{plain.count(side.no_difficulty)} examples ({part}) have no difficulty and rank last in it."


def _of_the_run(manifest: Mapping[str, object]) -> Iterable[str]:
    """What the run noted, as far as the page does not say it in its own words."""
    noted = manifest.get("notes")
    for note in noted if isinstance(noted, list | tuple) else ():
        if not any(words in str(note) for words in _SAID_HERE):
            yield as_sentence(str(note))


def as_sentence(note: str) -> str:
    """A note of the run, which has neither capital nor full stop."""
    return f"{note[:1].upper()}{note[1:]}."


def _unmeasured(flags: Iterable[Flag]) -> str:
    names = ", ".join(flag.name for flag in flags if not flag.pool_measured)
    return f"Not measured in this run: {names}." if names else ""


def _partly(flags: Iterable[Flag]) -> str:
    measured = [flag.pool_measured for flag in flags if flag.pool_measured]
    names = ", ".join(flag.name for flag in flags if flag.pool_measured and flag.pool_measured < _PART * max(measured))
    return (
        f"Measured for a part of the pool alone (for instance, where there is a gold answer): {names}." if names else ""
    )


def _judge(pool: pl.DataFrame) -> str:
    if "judge_mass" not in pool.columns or not pool["judge_mass"].count():
        return ""
    mass = pool["judge_mass"].drop_nulls()
    silent = int((mass < _JUDGE_SILENT).sum())
    share, median = plain.share(silent / len(mass)), pool.select(pl.col("judge_mass").median()).item()
    return f"The judge put less than half of its probability on 0 or 1 for {share} (median {median:.2f})."


def _short_of(selection: Totals, manifest: Mapping[str, object]) -> str:
    asked = number(manifest.get("asked"))
    if not selection.n:
        return "Nothing was selected."
    if asked is None or asked <= selection.n:
        return ""
    return f"{plain.count(asked)} were asked for; {plain.count(selection.n)} is all that the rules left."


def _flaws(flags: Iterable[Flag]) -> Iterable[str]:
    for flag in flags:
        if flag.name in _GRAVE and flag.selection:
            yield f"{plain.count(flag.selection)} of the selected are flagged {flag.name}: {flag.meaning}."


def _disagreements(selection: Totals, manifest: Mapping[str, object], eligible: int) -> Iterable[str]:
    for name, found in (("selected", selection.n), ("eligible", eligible)):
        said = number(manifest.get(name))
        if said is not None and said != found:
            yield f"The manifest says {plain.count(said)} {name}; the score table has {plain.count(found)}."
