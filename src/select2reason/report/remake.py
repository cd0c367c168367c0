"""How to make the result again: the command, the pool's files, and every other line of the manifest.

Long lists and values are cut, and the cut is stated; manifest.json has them whole.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from select2reason.report import plain
from select2reason.report.sentences import number, section

_SHOWN_SOURCES = 20
_SHOWN_LINES = 200
_VALUE_CHARS = 300  # from each end of one value
_COMMAND_CHARS = 5_000  # from each end
_FIRST = ("parameters", "versions")
_TITLES = {
    "parameters": "Settings",
    "versions": "Versions",
    "pool": "Pool",
    "scorers": "Scorers and their fingerprints",
    "benchmarks": "Benchmark problems looked for",
    "gpu_hours": "H100 hours, one epoch",
    "counts": "Examples by reason",
}
_OTHERS = "Further"
_DIGESTS = ("digest", "sha256", "blake3")


@dataclass(frozen=True, slots=True)
class Source:
    """One input of the pool; a count is "" where the manifest has none."""

    path: str
    rows: str
    examples: str
    digest: str


@dataclass(frozen=True, slots=True)
class Remake:
    """`groups` are parts of the manifest under plain titles, each of lines (name, value)."""

    command: str
    sources: Sequence[Source]
    more_sources: int
    groups: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    more_lines: int


def remake(manifest: Mapping[str, object]) -> Remake:
    """Settings and versions first, then the rest in the manifest's own order."""
    sources = _sources(section(manifest, "pool").get("sources"))
    rest = [key for key in manifest if key not in (*_FIRST, "command")]
    ordered = {key: manifest[key] for key in (*_FIRST, *rest) if key in manifest}
    lines = [(key, *line) for key, value in ordered.items() for line in _lines(key, value)]
    return Remake(
        command=_command(manifest.get("command")),
        sources=sources[:_SHOWN_SOURCES],
        more_sources=max(0, len(sources) - _SHOWN_SOURCES),
        groups=_groups(lines[:_SHOWN_LINES]),
        more_lines=max(0, len(lines) - _SHOWN_LINES),
    )


def _command(command: object) -> str:
    words = shlex.join(map(str, command)) if isinstance(command, list | tuple) else str(command or "")
    return _cut(words, _COMMAND_CHARS)


def _sources(sources: object) -> Sequence[Source]:
    listed = sources if isinstance(sources, list | tuple) else []
    return [_source(source) for source in listed if isinstance(source, Mapping)]


def _source(source: Mapping[str, object]) -> Source:
    counts = (number(source.get(key)) for key in ("rows", "examples"))
    rows, examples = ("" if n is None else plain.count(n) for n in counts)
    digest = next((str(source[key]) for key in _DIGESTS if source.get(key)), "")
    return Source(_cut(str(source.get("path", ""))), rows, examples, _cut(digest))


def _groups(lines: Sequence[tuple[str, str, str]]) -> Sequence[tuple[str, Sequence[tuple[str, str]]]]:
    """Lines under the titles of their keys; keys without one share the last group."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, name, value in sorted(lines, key=lambda line: line[0] not in _TITLES):
        groups.setdefault(_TITLES.get(key, _OTHERS), []).append((name, value))
    return list(groups.items())


def _lines(key: str, value: object) -> Iterable[tuple[str, str]]:
    """One part of the manifest as lines, nested names joined by commas; our own names as words."""
    inside = {name: part for name, part in value.items() if name != "sources"} if isinstance(value, Mapping) else value
    lines = _flat("", inside if isinstance(inside, Mapping) and key in _TITLES else {key: inside})
    own = key == "parameters" or key not in _TITLES
    return [(_cut(_words(name) if own else name), _value(value)) for name, value in lines]


def _flat(prefix: str, part: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    for key, value in part.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}, ", value)
        else:
            yield f"{prefix}{key}", value


def _words(name: str) -> str:
    """A name of ours as words; file names stay as they are."""
    return name.replace("_", " ") if name.replace("_", "").isalpha() else name


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return _cut(", ".join(map(str, value)) or "none")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else _cut(str(value))


def _cut(text: str, chars: int = _VALUE_CHARS) -> str:
    shown = plain.excerpt(text, chars)
    return f"{shown.head} … {shown.left_out} characters left out … {shown.tail}" if shown.left_out else shown.head
