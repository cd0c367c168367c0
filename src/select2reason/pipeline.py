"""The road from a pool to a selection, top to bottom: read, measure, judge, rank, choose, write.

Each function here is one stage's wiring; the work is done in the modules below. Work that the cache holds is not done
again, and the plan that is printed first says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import polars as pl

from select2reason import export
from select2reason.accounts import check_accounts
from select2reason.card import dataset_card
from select2reason.cost import gpu_hours
from select2reason.errors import UsageError
from select2reason.files import write_json
from select2reason.manifest import choosing, manifest_of, reading, write_beside, write_manifest
from select2reason.opening import open_pool
from select2reason.pool import TEXT
from select2reason.progress import say, stage
from select2reason.ranking import BEST_WEIGHT
from select2reason.reasons import OUTCOMES, ROW_RULES
from select2reason.scored import Checks, Scored, find_scorers, score_pool
from select2reason.selection import Ranked, Selection, rank
from select2reason.settings import (
    DROPPING,
    PAPER_CUTOFF_LEN,
    PoolSettings,
    ScoreSettings,
    SelectSettings,
    counted,
)
from select2reason.table import candidates, with_selection
from select2reason.verification import Verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from select2reason.comparing import Comparison

    Rows = NDArray[np.uint32]

_MOST_OF_THE_POOL = 0.5  # what one rule leaves out beyond this is said


@dataclass(frozen=True, slots=True)
class SelectOutcome:
    """What a selection came to; `out` holds the files, `notes` what its user should know."""

    out: Path
    pool_rows: int
    quarantined: int
    eligible: int
    asked: int | None
    selected: int
    pool_tokens: int
    eligible_tokens: int
    selected_tokens: int
    gpu_hours: Mapping[str, float]  # of the pool, the eligible and the selected rows (`cost.gpu_hours`)
    counts: Mapping[str, int]
    notes: tuple[str, ...]


# --- select ---------------------------------------------------------------------------------------------------------


def select(
    pool: PoolSettings,
    scores: ScoreSettings,
    chosen: SelectSettings,
    out: Path | str,
    *,
    force: bool = False,
    command: str = "",
) -> SelectOutcome:
    """Choose the best rows of a pool and write the selection's folder, whole or not at all.

    Raises UsageError for settings or input that cannot be used, RunError where the work fails.
    """
    out = Path(out)
    export.check_out(out, force=force, kind="selection", reads=pool.pools)
    scored, ranked = _ranked(pool, scores, chosen, check=lambda own: export.carried_names(own, pool.carry))
    carried = export.carried_names(scored.pool.own_columns(), pool.carry)
    selection = chosen.choose(ranked)
    table = with_selection(scored.table, selection)
    outcome = _outcome(out, scored, ranked, table, selection, cutoff_tokens=chosen.cutoff_tokens)
    _refuse_empty(outcome.counts, outcome.selected)
    manifest = manifest_of("selection", scored, command, {**asdict(scores), **choosing(chosen), **reading(pool)}) | {
        "eligible": outcome.eligible,
        "asked": outcome.asked,
        "selected": outcome.selected,
        "gpu_hours": dict(outcome.gpu_hours),
        "counts": dict(outcome.counts),
        "notes": list(outcome.notes),
    }

    def describe(folder: Path) -> None:
        from select2reason import report, showing
        from select2reason.comparing import compare_choices

        page = report.selection_page(
            table,
            manifest=manifest,
            examples=showing.examples(scored.pool, table, ranked, chosen, selection.rows),
            comparison=compare_choices(ranked, selection, table, cutoff_tokens=chosen.cutoff_tokens),
            shown=showing.shown(scored, table),
        )
        (folder / "report.html").write_text(page, encoding="utf-8")
        write_beside(folder, scored, table, card=dataset_card(manifest, table))

    with export.whole_folder(out, force=force, kind="selection") as folder:
        with ThreadPoolExecutor(1) as beside:
            described = beside.submit(describe, folder)  # in Python, while the data is gathered and compressed
            with stage("writing", outcome.selected) as advance:

                def half(rows: float) -> None:
                    advance(rows / 2)  # a row is gathered, then written

                with scored.pool.take(selection.rows, TEXT, spill=folder / "spill", advance=half) as chunks:
                    export.write_data(scored.pool, selection.rows, chunks, table, folder, carried=carried, advance=half)
        described.result()
        write_manifest(folder, manifest)
        check_accounts(folder, scored.pool, outcome.counts)
    return outcome


def _ranked(
    pool: PoolSettings,
    scores: ScoreSettings,
    chosen: SelectSettings,
    *,
    check: Callable[[Sequence[str]], object] = lambda own: None,
) -> tuple[Scored, Ranked]:
    """The pool scored, and what of it can be chosen ranked; `check` looks at the pool's own columns first of all."""
    prefer_right = chosen.cap == 1 and chosen.verify != "off"
    checks = Checks(
        chosen.verify,
        chosen.by_gold,
        chosen.cutoff_tokens,
        chosen.dropping,
        capped=chosen.cap > 0,
        prefer_right=prefer_right,
        one_generation=chosen.one_generation,
        every=chosen.look == "all",
    )
    scorers = find_scorers(scores, checks)

    def checked(own: Sequence[str]) -> None:
        scorers.estimator.check(own)
        check(own)

    opened = open_pool(pool, scorers.of_rows, check=checked, meanwhile=_load_report)
    scored = score_pool(opened, scorers, pool, checks)
    seen = candidates(
        scored.table,
        scored.pool,
        dropping=chosen.dropping,
        one_generation=chosen.one_generation,
        prefer_right=prefer_right,
    )
    return scored, rank(seen)


def _load_report() -> None:
    """Load what makes the report: 0.1 s that a core has while the last rows are scored."""
    from select2reason.report.templates import page_template

    page_template()


def _outcome(
    out: Path, scored: Scored, ranked: Ranked, table: pl.DataFrame, selection: Selection, *, cutoff_tokens: int
) -> SelectOutcome:
    tokens, diverse = table["total_tokens"].cast(pl.Int64), selection.strategy == "diverse"
    eligible = tokens.filter(table["rank_joint"].is_not_null())
    chosen = tokens.filter(table["selected"])
    return SelectOutcome(
        out=out,
        pool_rows=scored.pool.rows,
        quarantined=scored.pool.bad_rows,
        eligible=selection.eligible,
        asked=selection.asked,
        selected=len(selection.rows),
        pool_tokens=int(tokens.sum()),
        eligible_tokens=int(eligible.sum()),
        selected_tokens=int(chosen.sum()),
        gpu_hours={
            name: round(gpu_hours(side, cutoff_tokens=cutoff_tokens), 3)
            for name, side in {"pool": tokens, "eligible": eligible, "selected": chosen}.items()
        },
        counts=_counts(table),
        notes=(
            *(*scored.notes, *_unused(selection), *_notes(table, selection)),
            *(_no_categories(ranked) if diverse else ()),
        ),
    )


def _counts(table: pl.DataFrame) -> dict[str, int]:
    """Rows by reason, in the order of OUTCOMES."""
    found = dict(table["reason"].value_counts().iter_rows())
    return {reason: found[reason] for reason in OUTCOMES if reason in found}


def _unused(selection: Selection) -> Iterator[str]:
    """What was given, and the strategy does not go by."""
    if selection.strategy != "joint" and selection.params["weight"] != BEST_WEIGHT:
        yield f"--weight is used by the strategy joint alone, not by {selection.strategy}"
    if selection.strategy not in ("random", "diverse") and selection.params["seed"]:
        yield f"--seed is used by the strategies random and diverse, not by {selection.strategy}"


def _notes(table: pl.DataFrame, selection: Selection) -> Iterator[str]:
    if selection.asked is not None and len(selection.rows) < selection.asked:
        yield f"{selection.asked:,} rows were asked for, {len(selection.rows):,} could be taken"
    if missing := table["difficulty"].null_count():
        yield f"{missing:,} rows have no difficulty; they rank last in difficulty"
    for rule in ROW_RULES:
        left_out = int((table["reason"] == rule).sum())
        if left_out > _MOST_OF_THE_POOL * table.height:
            share = left_out / table.height
            yield f"{share:.0%} of the pool is left out as {rule}; the report shows examples, --keep {rule} keeps them"
    if copied := int((table["selected"] & table["contaminated"]).sum()):
        these = f"{copied:,} of {len(selection.rows):,} chosen rows"
        yield f"{these} ask what a benchmark asks; --preset safe without --keep contaminated leaves them out"
    unsaid = table["wrong_answer"].null_count()
    if unsaid == table.height:
        yield "it is not known of any answer whether it is right: no flags, and nothing was graded"
    elif unsaid:
        yield f"of {unsaid:,} rows it is not known whether the answer is right; they were not left out for it"


def _no_categories(ranked: Ranked) -> Iterator[str]:
    if (ranked.pool.category < 0).all():
        yield "the pool has no categories, so diverse draws as random does"


def _refuse_empty(found: Mapping[str, int], selected: int) -> None:
    if selected:
        return
    counts = ", ".join(f"{reason} {count:,}" for reason, count in found.items())
    worst = max(found, key=lambda reason: found[reason])
    own_fix = {
        "contaminated": "look for no benchmark with --contamination off",
        "wrong_answer": "leave answers alone with --verify off",
        "over_budget": "raise --token-budget",
        "over_cutoff": "raise --cutoff-len",
    }
    fix = own_fix.get(worst, "keep rows with --keep REASON, or use --preset paper")
    raise UsageError(f"no row can be selected ({counts}); {fix}")


# --- compare --------------------------------------------------------------------------------------------------------


def compare(
    pool: PoolSettings,
    scores: ScoreSettings,
    chosen: SelectSettings,
    out: Path | str,
    *,
    force: bool = False,
    command: str = "",
) -> Comparison:
    """All strategies side by side at the size that is asked for, and the chosen one under other weights and sizes.

    Raises UsageError for settings or input that cannot be used, RunError where the work fails.
    """
    from select2reason import report
    from select2reason.comparing import compare_choices

    out = Path(out)
    export.check_out(out, force=force, kind="comparison", reads=pool.pools)
    chosen = replace(chosen, checks=chosen.checks or "all")  # what each strategy takes is told by its health, too
    scored, ranked = _ranked(pool, scores, chosen)
    selection = chosen.choose(ranked)
    table = with_selection(scored.table, selection)
    _refuse_empty(_counts(table), len(selection.rows))
    notes = (*scored.notes, *_notes(table, selection), *_no_categories(ranked))
    manifest = manifest_of("comparison", scored, command, {**asdict(scores), **choosing(chosen), **reading(pool)}) | {
        "eligible": selection.eligible,
        "counts": _counts(table),
        "notes": list(notes),
    }
    compared = compare_choices(ranked, selection, table, cutoff_tokens=chosen.cutoff_tokens)
    with export.whole_folder(out, force=force, kind="comparison") as folder:
        page = report.comparison_page(compared, manifest=manifest, notes=notes)
        (folder / "report.html").write_text(page, encoding="utf-8")
        write_json(folder / "comparison.json", asdict(compared))
        write_beside(folder, scored, table)
        write_manifest(folder, manifest)
    return compared


# --- analyze --------------------------------------------------------------------------------------------------------


def analyze(
    pool: PoolSettings,
    scores: ScoreSettings,
    out: Path | str,
    *,
    cutoff_tokens: int = PAPER_CUTOFF_LEN,
    verify: Verify = "auto",
    force: bool = False,
    command: str = "",
) -> dict[str, object]:
    """The rethinking study (METHOD 1) and the health of a pool, without choosing; the study as plain data."""
    from select2reason import report, showing

    out = Path(out)
    if verify not in get_args(Verify):
        raise UsageError(f"verify is not {verify!r}; it can be {', '.join(get_args(Verify))}")
    cutoff_tokens = counted("cutoff_tokens", cutoff_tokens)
    export.check_out(out, force=force, kind="analysis", reads=pool.pools)
    checks = Checks(verify, cutoff_tokens=cutoff_tokens, dropping=DROPPING["safe"])
    scorers = find_scorers(scores, checks)
    opened = open_pool(pool, scorers.of_rows, check=scorers.estimator.check, meanwhile=_load_report)
    scored = score_pool(opened, scorers, pool, checks)
    parameters = {**asdict(scores), "cutoff_len": cutoff_tokens, "verify": verify, **reading(pool)}
    manifest = manifest_of("analysis", scored, command, parameters)
    study = report.rethinking_study(scored.table).to_dict() | {"health": report.flag_counts(scored.table)}
    with export.whole_folder(out, force=force, kind="analysis") as folder:
        shown = showing.shown(scored, scored.table)
        page = report.analysis_page(scored.table, manifest=manifest, shown=shown)
        (folder / "report.html").write_text(page, encoding="utf-8")
        write_json(folder / "study.json", study)
        write_beside(folder, scored, scored.table)
        write_manifest(folder, manifest)
    return study


# --- score ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScoreOutcome:
    """The pool in the cache, and how many of its rows have no difficulty."""

    pool: Path
    rows: int
    missing: int
    notes: tuple[str, ...]


def score_only(pool: PoolSettings, scores: ScoreSettings, *, verify: Verify = "auto") -> ScoreOutcome:
    """Only the scores, into the cache, where `select` finds them."""
    scorers = find_scorers(scores, checks := Checks(verify))
    opened = open_pool(pool, scorers.of_rows, check=scorers.estimator.check)
    scored = score_pool(opened, scorers, pool, checks)
    missing = scored.table["difficulty"].null_count()
    return ScoreOutcome(scored.pool.root, scored.pool.rows, missing, scored.notes)


# --- demo -----------------------------------------------------------------------------------------------------------


def demo(out: Path, *, seed: int = 0, force: bool = False) -> SelectOutcome:
    """Make a pool at out/pool.jsonl and select from it into out/selection."""
    from select2reason.demo import make_demo_pool

    pool, chosen = out / "pool.jsonl", out / "selection"
    export.check_out(chosen, force=force, kind="selection")
    out.mkdir(parents=True, exist_ok=True)
    made = make_demo_pool(pool, seed=seed, replace=force and chosen.exists())
    say(f"demo: {made.examples:,} examples of {made.questions:,} questions in {pool}")
    command = shlex.join(["select2reason", "select", str(pool), "--out", str(chosen)])
    return select(PoolSettings((str(pool),)), ScoreSettings(), SelectSettings(), chosen, force=force, command=command)
