"""From what a user names as a pool to the canonical pool in the cache: found, read once, scored meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from select2reason import cache, hub, layouts, readers, roles
from select2reason import pool as pools
from select2reason.building import build
from select2reason.errors import PoolError, UsageError
from select2reason.layouts import Layout
from select2reason.pool import Pool
from select2reason.progress import say, stage
from select2reason.readers import BadRow
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
    notes: tuple[str, ...] = ()
    """What its user should know of how it was read."""


def open_pool(
    settings: PoolSettings,
    specs: Sequence[ScorerSpec] = (),
    *,
    check: Callable[[Sequence[str]], None] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Opened:
    """The canonical pool of these files, from the cache or built now; the light ones of `specs` score it meanwhile,
    unless Ray is to.

    `check` may refuse the pool for the own columns that it lacks; it is called before the reading, where the files tell
    their columns by then. `meanwhile` is called where the pool is built, while the last rows are being scored.
    """
    if settings.ray:
        from select2reason.scoring.by_ray import check_ray

        check_ray(settings.ray)
    root = cache.cache_root(settings.cache_dir)
    which = {"config": settings.config, "split": settings.split, "revision": settings.revision}
    files = _once([file for name in settings.pools for file in hub.files_of(name, **which)])
    beside = [] if settings.ray else [spec for spec in specs if spec.light]
    if cache.begin_digests(root, [file.path for file in files]):
        for spec in beside:
            spec.wake()
    seen: set[str] = set()
    layout_of = _layouts(files, settings, seen)
    for layout, label in {str(layout): label for label, layout in reversed(layout_of.items())}.items():
        say(f"layout: {layout}{f' in {label}' if len(set(layout_of.values())) > 1 else ''}")
    if check and all(file.kind != "jsonl" for file in files):
        check(_own_columns(files, layout_of))
    unchanged = partial(_refuse_changed, {file.label: (file.path, _mark(file.path)) for file in files})
    digests = cache.content_digests(root, [file.path for file in files])
    content = [(digest, repr(_stable(layout_of[file.label]))) for file, digest in zip(files, digests, strict=True)]
    digest = cache.key_of(pools.FORMAT, content)
    folder = root / "pools" / digest
    labels = [file.label for file in files]
    built = (folder / "pool.json").is_file()
    light = [] if built else beside
    if not built:
        cache.refuse_unwritable(root)
    pool = Pool.open(folder, labels) if built else _build(files, layout_of, folder, digest, light, meanwhile, unchanged)
    pools.refuse_too_bad(pool, settings.max_bad_fraction)
    described = [
        {"path": file.label, "sha256": sha, **asdict(part)}
        for file, sha, part in zip(files, digests, pool.parts, strict=True)
    ]
    json = any(file.kind == "jsonl" for file in files)
    notes = tuple(_late(pool, layout_of.values(), seen)) if json else ()
    return Opened(pool, described, frozenset(spec.name for spec in light), notes)


def _late(pool: Pool, found: Collection[Layout], seen: Collection[str]) -> Iterator[str]:
    """Columns that would have played a role, had they been seen when the layout was told: JSON shows them late."""
    own = pool.own_columns()
    for role, names in roles.BESIDE.items():
        late = [name for name in names.split() if name in own and name not in seen]
        if late and not all(getattr(layout, role) for layout in found):
            fix = f"to have it read as {role}: --columns {role}={late[0]}"
            yield f"the column {late[0]} comes late in the pool, and says nothing here; {fix}"


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


def _layouts(files: Sequence[SourceFile], settings: PoolSettings, seen: set[str]) -> dict[str, Layout]:
    """Each file's layout, by label; a file without a readable row is read like the first that has one. The columns that
    were looked at are added to `seen`."""
    found: dict[str, Layout] = {}
    for file in files:
        sample = readers.probe(file, having=settings.columns.values())
        if sample.frame.height:
            found[file.label] = layouts.detect(
                sample.frame,
                layout=settings.layout,
                columns=settings.columns,
                rare=sample.rare,
                where=file.label,
            )
            seen.update(sample.frame.columns)
    if not found:
        raise UsageError(f"{files[0].label} has no readable row{_why(files[0])}")
    wide = frozenset[str]().union(*(layout.wide for layout in found.values()))
    wanted = frozenset(settings.carry if isinstance(settings.carry, tuple) else ())
    left = sorted(wide - wanted)
    if left and settings.carry == "all":
        say(
            f"not carried, for they are chats or texts: {', '.join(left)}; --carry COLUMN,... takes those that it names"
        )
    alike = {label: replace(one, wide=wide - wanted - one.used) for label, one in found.items()}
    return {file.label: alike.get(file.label, next(iter(alike.values()))) for file in files}


def _why(file: SourceFile) -> str:
    """What is wrong with the first row of a file that has none."""
    bad: list[BadRow] = []
    for _ in readers.read(file, on_bad=bad.append):
        pass
    if not bad:
        return "; give JSONL, JSON, Parquet or Arrow with one object a row"
    place = readers.place_of(bad[0].source_row, has_lines=readers.has_lines(file))
    return f" ({place}: {bad[0].reason}); give JSONL, JSON, Parquet or Arrow with one object a row"


def _stable(layout: Layout) -> dict[str, object]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(layout).items()}


def _build(
    files: Sequence[SourceFile],
    layout_of: Mapping[str, Layout],
    folder: Path,
    digest: str,
    light: Sequence[ScorerSpec],
    meanwhile: Callable[[], None],
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

        return build(
            files,
            layout_of,
            folder,
            digest=digest,
            progress=progress,
            watchers=watchers,
            meanwhile=meanwhile,
            check=check,
        )
