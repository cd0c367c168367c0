"""Any rows at all, thousands in a pool, through the whole of `select`: every row of every file is selected, has a
reason, or is set aside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.torture import damage
from tests.torture.conftest import Tell
from tests.torture.reader import MOST_BYTES, Reader, reader
from tests.torture.test_bad_input import figures

Often = Callable[[int, int], int]
TEXT = st.text(max_size=12) | st.sampled_from(["<think>", "</think>", "<think>\n\n</think>", "\0", "\u2028", "等等"])
VALUES: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
_NAMES = (
    "question response problem generations messages conversations prompt completion reasoning answer instruction input "
    "output text gold category correct correctness_math_verify is_complete finish_reason id own:x * ^a$ row"
)
NAMES = st.sampled_from(_NAMES.split())


def rows_of(layout: str) -> SearchStrategy[dict[str, Any]]:
    """A row of this layout with some of its values, or of its names, replaced."""
    whole = st.sampled_from(damage.layouts()[layout])
    return st.builds(lambda row, other: {**row, **other}, whole, st.dictionaries(NAMES | TEXT, VALUES, max_size=2))


POOLS = st.sampled_from(sorted(damage.layouts())).flatmap(
    lambda layout: st.tuples(
        st.lists(st.sampled_from(damage.layouts()[layout]), min_size=5, max_size=5),
        st.lists(rows_of(layout) | VALUES, min_size=30, max_size=40),
    )
)


def counted(out: Path) -> dict[str, Any]:
    """What a selection says of its rows, its manifest against its files."""
    manifest = json.loads((out / "manifest.json").read_bytes())
    scores = pl.read_parquet(out / "scores.parquet", columns=["reason", "selected"])
    parts = manifest["pool"]["sources"]
    aside = [json.loads(line) for line in (out / "quarantine.jsonl").read_bytes().splitlines()]
    return {
        "read": sum(part["rows"] for part in parts),
        "bad": sum(part["bad"] for part in parts),
        "examples": sum(part["examples"] for part in parts),
        "scores": scores.height,
        "reasons": sum(manifest["counts"].values()),
        "selected": int(scores["selected"].sum()),
        "data": int(pl.scan_parquet(out / "data" / "*.parquet").select(pl.len()).collect().item()),
        "aside": len({(row["source_file"], row["source_row"]) for row in aside if "generation" not in row}),
    }


def missing(found: dict[str, Any], rows: int) -> bool:
    """Whether a row is lost or made up."""
    same = found["scores"] == found["reasons"] == found["examples"] and found["selected"] == found["data"]
    return not same or found["read"] != rows or found["aside"] > found["bad"]


def selected(child: Reader, pool: Path, out: Path) -> dict[str, Any]:
    """Select from a pool of which any number of rows may be bad."""
    options = ["--max-bad-fraction", "1", "--contamination", "off", "--force", "--rows", "3"]
    return child.run(pool.name, "select", pool, "--out", out, "--cache-dir", out.with_name("cache"), *options)


def test_any_row_is_selected_explained_or_set_aside(tmp_path: Path, often: Often, tell: Tell) -> None:
    wrong: list[Any] = []
    whole = rows = 0

    with reader() as child:

        @given(POOLS)
        @settings(
            max_examples=often(8, 300),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        def tried(pool: tuple[list[Any], list[Any]]) -> None:
            nonlocal whole, rows
            lines = [json.dumps(row) for part in pool for row in part]
            file, out = tmp_path / "pool.jsonl", tmp_path / "out"
            file.write_text("\n".join(lines))
            answer = selected(child, file, out)
            rows += len(lines)
            if answer.get("code") == 0:
                whole += 1
                if missing(found := counted(out), len(lines)):
                    wrong.append((found, len(lines)))
            assert not child.lost and not wrong, "\n".join([*child.lost, *map(str, wrong)])

        try:
            tried()
        finally:
            told = figures(child) | {"rows": rows, "pools_selected_from": whole}
            tell(
                "any rows in pools of any layout, selected from",
                tried=child.tried,
                lost=len(child.lost + wrong),
                **told,
            )
    assert whole
    assert child.peak_bytes < MOST_BYTES
