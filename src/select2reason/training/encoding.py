"""A selection as token ids with labels, in one file that every process of the trainer maps into memory.

Prompt and reply are encoded apart, as they will be when the model is asked; the loss is on the reply alone, its end
token included. Nothing is cut: what does not fit is refused, with its number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from select2reason.backends.chat_format import ChatFormat
from select2reason.chosen import Chosen
from select2reason.errors import RunError
from select2reason.tokens import Encoded, Tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARK = r"\p{M}"
IGNORED = -100  # the label without loss, of torch and all trainers
_IDS = pa.list_(pa.int32())
_SCHEMA = pa.schema([("input_ids", _IDS), ("labels", _IDS)])


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was encoded: `total` tokens of all examples, `trained` of them with loss, `lengths` (n,) in their order.
    `unopened` examples do not begin with the thought that the model's chat opens, and are taught without."""

    total: int
    trained: int
    lengths: NDArray[np.int64]
    unopened: int = 0

    @property
    def longest(self) -> int:
        """Tokens of the longest example."""
        return int(self.lengths.max())


def encode(
    chosen: Chosen, chat: ChatFormat, tokenizer: Tokenizer, out: Path, *, advance: Callable[[float], None]
) -> Tokens:
    """Write `input_ids` and `labels` of every example, best first, as an Arrow stream.

    Raises RunError where the fast tokenizer and the model's own differ.
    """
    lengths: list[NDArray[np.int64]] = []
    trained = unopened = 0
    part = out.with_name(out.name + ".part")
    with pa.OSFile(str(part), "wb") as file, pa.ipc.new_stream(file, _SCHEMA) as writer:
        for batch in chosen.batches():
            asked_all = chat.prompts(batch["system"].to_list(), batch["question"].to_list())
            written = chat.written(asked_all, batch["response"].to_list())
            prompts, replies = written.prompts, written.replies
            unopened += written.unopened
            asked, answered = (_ids(chat, tokenizer, pl.Series(texts)) for texts in (prompts, replies))
            _check(chat, prompts[0], asked)
            _check(chat, replies[0], answered)
            record, size = _joined(asked, answered)
            writer.write_batch(record)
            lengths.append(size)
            trained += len(answered.ids)
            advance(batch.height)
    part.replace(out)
    sizes = np.concatenate(lengths)
    return Tokens(int(sizes.sum()), trained, sizes, unopened)


def _joined(asked: Encoded, answered: Encoded) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """Prompt and reply of each row laid end to end, and the rows' lengths."""
    before, after = np.diff(asked.offsets), np.diff(answered.offsets)
    offsets = np.concatenate([[0], np.cumsum(before + after)])
    ids = np.empty(offsets[-1], np.int32)
    labels = np.full(offsets[-1], IGNORED, np.int32)
    of_prompt = np.arange(len(asked.ids)) + np.repeat(offsets[:-1] - asked.offsets[:-1], before)
    of_reply = np.arange(len(answered.ids)) + np.repeat(offsets[:-1] + before - answered.offsets[:-1], after)
    ids[of_prompt] = asked.ids
    ids[of_reply] = labels[of_reply] = answered.ids
    columns = [pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat)) for flat in (ids, labels)]
    return pa.record_batch(columns, schema=_SCHEMA), before + after


def _ids(chat: ChatFormat, tokenizer: Tokenizer, texts: pl.Series) -> Encoded:
    """The texts by the fast tokenizer; those with combining marks, in which its ids may stand in another order, by the
    model's own."""
    encoded = tokenizer.encode(texts)
    marked = texts.str.contains(_MARK).arg_true().to_list()
    if not marked:
        return encoded
    rows = np.split(encoded.ids, encoded.offsets[1:-1])
    for row in marked:
        rows[row] = np.asarray(_own_ids(chat, texts[row]), np.uint32)
    return Encoded(np.concatenate(rows), np.concatenate([[0], np.cumsum([len(row) for row in rows])]))


def _check(chat: ChatFormat, text: str, encoded: Encoded) -> None:
    """The first text of a batch, by the model's own tokenizer."""
    own = _own_ids(chat, text)
    if own != encoded.ids[: encoded.offsets[1]].tolist():
        raise RunError(
            f"the tokenizer.json of {chat.model} and its tokenizer give other tokens; save the tokenizer anew"
        )


def _own_ids(chat: ChatFormat, text: str) -> list[int]:
    """By the model's own tokenizer, without its warning of a context that is raised by now, or refused."""
    ids: list[int] = chat.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids
