"""The chosen examples in the shape that each trainer reads: one expression a format, written in a stream.

Every format carries the system prompt, the question and the response exactly as the selection holds them: nothing is
cut, stripped or put between. Other columns stay in the selection; a trainer that meets a column it does not know, or
a null in one, may stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from select2reason.chosen import Chosen

Expressions = dict[str, pl.Expr]
_GROUP_ROWS = 1_000  # in a row group, as in the selection
_FILE = "train.jsonl"


def messages() -> Expressions:
    """OpenAI's chat turns: `messages`, a list of `role` and `content`."""
    return {"messages": _turns("role", "content", ("system", "user", "assistant"))}


def sharegpt() -> Expressions:
    """ShareGPT: `conversations`, a list of `from` and `value`."""
    return {"conversations": _turns("from", "value", ("system", "human", "gpt"))}


def alpaca() -> Expressions:
    """Alpaca: `instruction`, `input` (empty), `output`, and `system`."""
    return {
        "instruction": pl.col("question"),
        "input": pl.lit(""),
        "output": pl.col("response"),
        "system": pl.col("system"),
    }


def prompt_completion() -> Expressions:
    """TRL's prompt and completion, both as turns: the loss is on the completion alone."""
    turns = list(_each("role", "content", ("system", "user", "assistant")))
    return {"prompt": pl.concat_list(turns[:2]), "completion": pl.concat_list(turns[2:])}


def write_lines(chosen: Chosen, shape: Expressions, folder: Path, advance: Callable[[float], None]) -> None:
    """folder/train.jsonl, one example a line, best first."""
    with (folder / _FILE).open("wb") as file:
        for batch in chosen.batches():
            batch.select(**shape).write_ndjson(file)
            advance(batch.height)


def write_parquet(chosen: Chosen, shape: Expressions, folder: Path, advance: Callable[[float], None]) -> None:
    """folder/data/train-00000-of-00001.parquet, best first; `datasets.load_dataset(folder)` opens it."""
    data = folder / "data"
    data.mkdir()
    writer: pq.ParquetWriter | None = None
    for batch in chosen.batches():
        table = batch.select(**shape).to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(
            data / "train-00000-of-00001.parquet", table.schema, compression="zstd", use_dictionary=False
        )
        writer.write_table(table, row_group_size=_GROUP_ROWS)
        advance(batch.height)
    if writer:
        writer.close()


def _turns(role: str, content: str, names: tuple[str, str, str]) -> pl.Expr:
    return pl.concat_list(list(_each(role, content, names)))


def _each(role: str, content: str, names: tuple[str, str, str]) -> Iterator[pl.Expr]:
    for name, column in zip(names, ("system", "question", "response"), strict=True):
        yield pl.struct(pl.lit(name).alias(role), pl.col(column).alias(content))
