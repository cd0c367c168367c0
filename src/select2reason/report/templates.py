"""The page's templates, compiled once and kept where Python keeps what it compiles: it takes 0.1 s each time else."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined, Template
from jinja2.bccache import Bucket
from markupsafe import Markup

from select2reason.report import plain

_KEPT = Path(__file__).parent / "__pycache__"


@cache
def page_template() -> Template:
    """That of the whole page."""
    may = not sys.dont_write_bytecode and os.access(_KEPT, os.W_OK)
    page = Environment(
        autoescape=True,
        bytecode_cache=_Kept(str(_KEPT), "%s.jinja2") if may else None,
        finalize=_shown,
        loader=PackageLoader("select2reason.report", "."),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    for show in (plain.count, plain.compact, plain.decimal, plain.share):
        page.filters[show.__name__] = show
    return page.get_template("page.html.j2")


class _Kept(FileSystemBytecodeCache):
    """A page is drawn all the same where nothing can be kept, as on a full disk."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep one template."""
        with suppress(OSError):
            super().dump_bytecode(bucket)


def _shown(value: object) -> object:
    """What every expression of the template passes before it is escaped."""
    return plain.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
