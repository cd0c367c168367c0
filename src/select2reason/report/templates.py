"""The page's templates. Compiling them takes 0.1 s, so what they become is kept in the user's cache folder."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined, Template
from jinja2.bccache import Bucket
from markupsafe import Markup
from platformdirs import user_cache_path

from select2reason.parts import part_file
from select2reason.report import plain

_DIGEST_BYTES = 32
_MAKERS = (Path(__file__), Path(plain.__file__))  # what a template becomes depends on them as well


@cache
def page_template() -> Template:
    """The template of the whole page, which includes one for each section."""
    page = Environment(
        autoescape=True,
        bytecode_cache=_kept(),
        finalize=_shown,
        loader=PackageLoader("select2reason.report", "."),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    for show in (plain.count, plain.compact, plain.decimal, plain.share):
        page.filters[show.__name__] = show
    return page.get_template("page.html.j2")


def _kept() -> _Kept | None:
    """None where Python is told to keep nothing, or nothing can be kept."""
    if sys.dont_write_bytecode:
        return None
    folder = user_cache_path("select2reason", appauthor=False) / "templates"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return _Kept(folder)


class _Kept(BytecodeCache):
    """The code of templates, a file for each; what is damaged or cannot be kept is compiled again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _file(self, bucket: Bucket) -> Path:
        return self._folder / f"{bucket.key}.{sys.implementation.cache_tag}"

    def get_source_checksum(self, source: str) -> str:
        """Another one for whatever makes another code of a template."""
        return sha256(self._makers + source.encode()).hexdigest()

    @cached_property
    def _makers(self) -> bytes:
        return b"".join(file.read_bytes() for file in _MAKERS) + f"{version('jinja2')} {sys.version}".encode()

    def load_bytecode(self, bucket: Bucket) -> None:
        """The code that is kept for a template, if any."""
        with suppress(OSError):
            held = self._file(bucket).read_bytes()
            if held[:_DIGEST_BYTES] == sha256(held[_DIGEST_BYTES:]).digest():
                bucket.bytecode_from_string(held[_DIGEST_BYTES:])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of one template."""
        code = bucket.bytecode_to_string()
        with suppress(OSError), part_file(self._file(bucket)) as part:
            part.write_bytes(sha256(code).digest() + code)
            part.replace(self._file(bucket))


def _shown(value: object) -> object:
    """What every expression of the template passes before it is escaped."""
    return plain.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
