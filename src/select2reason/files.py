"""Small files written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Indented JSON, keys in the order given, in the place of what stood there."""
    part = path.with_name(path.name + ".part")
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    part.write_bytes(orjson.dumps(value, option=options, default=str) + b"\n")
    part.replace(path)
