"""From what a user names as a pool to the canonical pool in the cache: found, read once, scored meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from select2reason import cache, hub, layouts, readers
from select2reason import pool as pools
from select2reason.building import build
from select2reason.errors import PoolError, UsageError
from select2reason.layouts import Layout
from select2reason.pool import Pool
from select2reason.progress import say, stage
from select2reason.scoring import ScorerSpec, Scoring
from select2reason.settings import PoolSettings
from select2reason.sources import SourceFile


@dataclass(frozen=True, slots=True)
class Opened:
    """A canonical pool, and what the manifest says of each file that it was made from."""

    pool: Pool
    sources: list[dict[str, object]]
    meanwhile: frozenset[str]
    """The scorers that ran while it was built."""


def open_pool(
    settings: PoolSettings, specs: Sequence[ScorerSpec] = (), *, check: Callable[[Sequence[str]], None] | None = None
) -> Opened:
    """The canonical pool of these files, from the cache or built now; the light ones of `specs` score it meanwhile,
    unless Ray is to.

    `check` may refuse the pool for the own columns that it lacks; it is called before the reading, where the files tell
    their columns by then.
    """
    if settings.ray:
        from select2reason.scoring.by_ray import check_ray

        check_ray(settings.ray)
    root = cache.cache_root(settings.cache_dir, written=True)
    which = {"config": settings.config, "split": settings.split, "revision": settings.revision}
    files = _once([file for name in settings.pools for file in hub.files_of(name, **which)])
    layout_of = _layouts(files, settings)
    for layout, label in {str(layout): label for label, layout in reversed(layout_of.items())}.items():
        say(f"layout: {layout}{f' in {label}' if len(set(layout_of.values())) > 1 else ''}")
    if check and all(file.kind != "jsonl" for file in files):
        check(_own_columns(files, layout_of))
    beside = [] if settings.ray else [spec for spec in specs if spec.light]
    unchanged = partial(_refuse_changed, {file.label: (file.path, _mark(file.path)) for file in files})
    digests = cache.content_digests(root, [file.path for file in files], on_new=partial(_wake, beside))
    content = [(digest, repr(_stable(layout_of[file.label]))) for file, digest in zip(files, digests, strict=True)]
    digest = cache.key_of(pools.FORMAT, content)
    folder = root / "pools" / digest
    labels = [file.label for file in files]
    built = (folder / "pool.json").is_file()
    light = [] if built else beside
    pool = Pool.open(folder, labels) if built else _build(files, layout_of, folder, digest, light, unchanged)
    pools.refuse_too_bad(pool, settings.max_bad_fraction)
    described = [
        {"path": file.label, "sha256": sha, **asdict(part)}
        for file, sha, part in zip(files, digests, pool.parts, strict=True)
    ]
    return Opened(pool, described, frozenset(spec.name for spec in light))


def _wake(specs: Sequence[ScorerSpec]) -> None:
    for spec in specs:
        spec.wake()


def _mark(path: Path) -> tuple[int, int]:
    """What changes with a file: its size and its time."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _refuse_changed(marks: Mapping[str, tuple[Path, tuple[int, int]]]) -> None:
    """Raise PoolError where a file is not as it was before its digest was taken: what was read is of no known file."""
    for label, (path, before) in marks.items():
        if not path.exists() or _mark(path) != before:
            raise PoolError(f"{label} changed while it was read; run it again once the file is whole and left alone")


def _own_columns(files: Sequence[SourceFile], layout_of: Mapping[str, Layout]) -> list[str]:
    """The columns that the pool will carry; JSON files tell theirs only at their end."""
    return list(dict.fromkeys(name for f in files for name in layout_of[f.label].carried(readers.column_names(f))))


def _once(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Without those that are named again, by a glob and by themselves, say; that is said. Links are files of their own:
    in the Hub's cache two that are alike lead to one."""
    places = [file.path.parent.resolve() / file.path.name for file in files]
    first = dict(zip(reversed(places), reversed(files), strict=True))
    again = [file.label for file, place in zip(files, places, strict=True) if first[place] is not file]
    if again:
        say(f"named more than once, read once: {', '.join(dict.fromkeys(again))}")
    return [file for file, place in zip(files, places, strict=True) if first[place] is file]


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
    check: Callable[[], None],
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

        return build(files, layout_of, folder, digest=digest, progress=progress, watchers=watchers, check=check)
