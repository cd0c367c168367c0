"""A selection whose rows do not add up is not published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from select2reason.accounts import check_accounts
from select2reason.errors import RunError
from tests.reading import pool_of

from .conftest import WriteRows


def test_a_row_that_is_lost_or_made_up_is_found(tmp_path: Path, write_rows: WriteRows) -> None:
    row = {"question": "q", "response": "<think>t</think>a"}
    pool = pool_of(write_rows([row, {**row, "response": None}, row, row]))
    pl.DataFrame({"row": range(3)}).write_parquet(tmp_path / "scores.parquet")
    (tmp_path / "data").mkdir()
    pl.DataFrame({"row": [0]}).write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    (tmp_path / "quarantine.jsonl").write_text("{}\n")
    counts = {"ranked_below": 2, "selected": 1}
    check_accounts(tmp_path, pool, counts)
    (part,) = pool.parts
    wrong = [
        (pool, {"ranked_below": 1, "selected": 1}, "with a reason"),
        (pool, {"ranked_below": 1, "selected": 2}, "rows in data"),
        (replace(pool, parts=(replace(part, rows=5),)), counts, "5 rows read, 3 with an example, 1 of 1 set aside"),
        (replace(pool, parts=(replace(part, examples=4),)), counts, "4 examples made, 3 kept"),
        (replace(pool, rows=4), counts, "rows in scores.parquet"),
    ]
    for held, told, part_of in wrong:
        with pytest.raises(RunError, match=rf"internal error.*{part_of}.*pool\.json"):
            check_accounts(tmp_path, held, told)
