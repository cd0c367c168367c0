"""The built-in tokenizer counts as Hugging Face's does, on everything."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from pathlib import Path

import gigatoken
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from select2reason import memory, tokens
from select2reason.errors import UsageError
from select2reason.tokens import FastTokenizer, SlowTokenizer, load_tokenizer
from select2reason.utf8 import Bytes

from .conftest import SHARED

PIECES = st.sampled_from(
    [
        "Wait",
        ", ",
        "\n",
        "\n\n",
        "  ",
        "\t",
        "x²",
        "等等",
        "é",
        "e\u0301",
        "ﬁ",
        "한",
        "\u1112\u1161",
        "😀",
        "<|im_end|>",
        "<tool_call>\u0338x",  # NFC would join the mark to the token's last sign
        "12345",
        "it's",
        "\u00a0",
        "</think>",
        "'LL",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=20).map("".join)


@cache
def builtin() -> tokens.Tokenizer:
    return load_tokenizer()


@cache
def reference() -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(SHARED / "tokenizers/qwen2.5/tokenizer.json"))


def reference_counts(texts: pl.Series) -> list[int]:
    return [len(one.ids) for one in reference().encode_batch_fast(texts.to_list(), add_special_tokens=False)]


def response_columns(shared: Path) -> dict[str, pl.Series]:
    columns = {"skyt1": "code", "math_": "text", "marco": "response"}
    found = {}
    for file in sorted((shared / "traces").glob("*.parquet")):
        column = pl.read_parquet(file)[columns.get(file.name[:5], "solution")]
        found[file.name] = column if column.dtype == pl.String else column.list.first()
    return found


def test_real_traces_count_as_in_hugging_face_tokenizers(shared: Path) -> None:
    columns = response_columns(shared / "data")
    assert len(columns) == 6
    for name, texts in columns.items():
        sample = texts if len(texts) < 400 else texts.gather_every(7)  # every trace: benchmarks/token_counts.py
        assert builtin().count(sample).tolist() == reference_counts(sample), name


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_any_text_counts_as_in_hugging_face_tokenizers(texts: list[str]) -> None:
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared with the tokenizer, which is not here")
    series = pl.Series(texts, dtype=pl.String)
    assert builtin().count(series).tolist() == reference_counts(series)


def test_known_ids() -> None:
    encoded = builtin().encode(pl.Series(["Hello world", None, "<|im_start|>user\n"]))
    assert encoded.ids.tolist() == [9707, 1879, 151644, 872, 198]
    assert encoded.offsets.tolist() == [0, 2, 2, 5]


def test_no_texts() -> None:
    assert builtin().count(pl.Series([], dtype=pl.String)).tolist() == []
    assert builtin().count(pl.Series([None, ""], dtype=pl.String)).tolist() == [0, 0]


def test_every_code_point_that_nfc_may_change_is_looked_at() -> None:
    points = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
    changed = [c for c in points if unicodedata.normalize("NFC", c) != c]
    composing = [
        c for c in points if any(len(unicodedata.normalize("NFC", b + c)) < 2 for b in "aAoO<=>\u1100\uac00\u09c7")
    ]
    suspects = pl.Series([*changed, *composing])
    assert len(suspects) > 1000
    rows = tokens._maybe_not_nfc(Bytes.of(suspects))
    assert [suspects[i] for i in set(range(len(suspects))) - set(rows.tolist())] == []


def test_common_code_points_cost_no_normalising() -> None:
    common = "".join(map(chr, [*range(0x250), *range(0x391, 0x3CA), *range(0x400, 0x460), *range(0x1E00, 0x1F00)]))
    texts = [common, "“x” ≤ ℝ ∀ℕ ⌊√2⌋ ⟨a, b⟩ — €", "等等，也许可能。カタカナ、한국어", "✅ 😀 \U0001d465\ufe0f", ""]
    assert tokens._maybe_not_nfc(Bytes.of(pl.Series(texts))).tolist() == []


def test_only_the_rows_that_may_change_are_normalised() -> None:
    texts = ["plain", "", "e\u0301", "x²", "\u212b", "ends in a lead: é", "\u1112\u1161"]
    array = pa.array(texts, pa.large_string())
    assert tokens._maybe_not_nfc(Bytes(array)).tolist() == [2, 4, 6]
    assert tokens._maybe_not_nfc(Bytes(array[3:6])).tolist() == [1]


def test_parts_of_a_column_count_as_the_whole() -> None:
    texts = pl.Series(["plain", "e\u0301 x", None, "\u212b", "", "é\u1112\u1161", "so"] * 3)
    whole = builtin().count(texts)
    parts = pl.concat([texts[:4], texts[4:11], texts[11:]], rechunk=False)
    assert builtin().count(parts).tolist() == whole.tolist()
    assert builtin().count(parts[3:17]).tolist() == whole[3:17].tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=6))
def test_counts_are_additive_over_cuts_between_a_line_break_and_a_non_space(parts: list[str]) -> None:
    """The law that METHOD 9.7 asks for; trace.py counts by it."""
    pieces = [part.strip() for part in parts if part.strip()]
    pieces = [piece + "\n" for piece in pieces]
    whole = builtin().count(pl.Series(["".join(pieces)], dtype=pl.String))
    assert builtin().count(pl.Series(pieces, dtype=pl.String)).sum() == whole.sum()


def test_a_fresh_vocabulary_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_FRESH_AFTER_BYTES", 10)
    tokenizer, texts = load_tokenizer(), pl.Series(["one two three four", "five six"])
    tokenizer.rest()  # so that it loads under the bound above
    assert [tokenizer.count(texts).tolist() for _ in range(3)] == [[4, 2]] * 3


def test_a_process_that_grows_gets_a_fresh_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, texts = load_tokenizer(), pl.Series(["one two three four", "five six"])
    assert isinstance(tokenizer, FastTokenizer)
    loaded: list[gigatoken.Tokenizer] = []
    load = tokenizer._load

    def fresh() -> gigatoken.Tokenizer:
        loaded.append(load())
        return loaded[-1]

    monkeypatch.setattr(tokenizer, "_load", fresh)
    grown = iter(
        [0, 100, tokens._GROWN_BYTES - 1, tokens._GROWN_BYTES, tokens._GROWN_BYTES, 2 * tokens._GROWN_BYTES - 1]
    )
    tokenizer.rest()
    monkeypatch.setattr(memory, "in_use", lambda: next(grown))
    told = [(tokenizer.count(texts).tolist(), len(loaded)) for _ in range(5)]
    assert told == [([4, 2], 1), ([4, 2], 1), ([4, 2], 1), ([4, 2], 2), ([4, 2], 2)]


def test_a_vocabulary_that_could_not_be_loaded_is_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, texts = load_tokenizer(), pl.Series(["one two three four"])
    assert isinstance(tokenizer, FastTokenizer)
    tokenizer.count(texts)
    with monkeypatch.context() as broken:
        broken.setattr(memory, "in_use", lambda: 1 << 60)
        broken.setattr(tokenizer, "_load", lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            tokenizer.count(texts)
    assert tokenizer.count(texts).tolist() == [4]


def tiny_tokenizer(path: Path) -> Path:
    """A word-level tokenizer, which gigatoken does not load."""
    model = tokenizers.models.WordLevel({"[UNK]": 0, "wait": 1, "maybe": 2}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def test_what_gigatoken_refuses_is_counted_by_hugging_face(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_tokenizer(tmp_path)))
    assert isinstance(tokenizer, SlowTokenizer)
    encoded = tokenizer.encode(pl.Series(["wait maybe", None, "so"]))
    assert (encoded.ids.tolist(), encoded.offsets.tolist()) == ([1, 2, 0], [0, 2, 2, 3])


def test_a_tokenizer_file_opens_fast_and_counts_as_the_built_in_one(shared: Path) -> None:
    tokenizer = load_tokenizer(str(shared / "tokenizers/qwen2.5/tokenizer.json"))
    assert isinstance(tokenizer, FastTokenizer)
    texts = pl.Series(["Wait, e\u0301 = 3?\n\n等等", "naive ﬁ 12345"])
    assert np.array_equal(tokenizer.count(texts), builtin().count(texts))


@pytest.mark.parametrize("name", ["no/such/tokenizer.json", "nowhere.json", "empty"])
def test_a_name_that_leads_nowhere_is_one_clear_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no tokenizer.json at .*builtin"):
        load_tokenizer(name)


def test_truncation_and_padding_of_a_past_use_change_no_count(tmp_path: Path) -> None:
    saved = tokenizers.Tokenizer.from_file(str(tiny_tokenizer(tmp_path) / "tokenizer.json"))
    saved.enable_truncation(2)
    saved.enable_padding(length=9)
    saved.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(str(tmp_path)).count(pl.Series(["wait maybe wait", "wait"])).tolist() == [3, 1]


def test_a_damaged_tokenizer_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text('{"model": 3}')
    with pytest.raises(UsageError, match=r"no readable tokenizer.json"):
        load_tokenizer(str(file))
