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
    """`lines` are (key, value), nested keys joined by dots."""

    command: str
    sources: Sequence[Source]
    more_sources: int
    lines: Sequence[tuple[str, str]]
    more_lines: int


def remake(manifest: Mapping[str, object]) -> Remake:
    """Parameters and versions first, then the rest in the manifest's own order."""
    sources = _sources(section(manifest, "pool").get("sources"))
    rest = [key for key in manifest if key not in (*_FIRST, "command")]
    ordered = {key: manifest[key] for key in (*_FIRST, *rest) if key in manifest}
    lines = list(_flat("", ordered))
    return Remake(
        command=_command(manifest.get("command")),
        sources=sources[:_SHOWN_SOURCES],
        more_sources=max(0, len(sources) - _SHOWN_SOURCES),
        lines=lines[:_SHOWN_LINES],
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


def _flat(prefix: str, part: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    for key, value in part.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(f"{name}.", value)
        elif name != "pool.sources":
            yield _cut(name), _value(value)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return _cut(", ".join(map(str, value)) or "none")
    return "not set" if value is None else _cut(str(value))


def _cut(text: str, chars: int = _VALUE_CHARS) -> str:
    shown = plain.excerpt(text, chars)
    return f"{shown.head} … {shown.left_out} characters left out … {shown.tail}" if shown.left_out else shown.head
