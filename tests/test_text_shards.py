"""Shards of text read back, packed or as they lie."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from select2reason import text_shards
from select2reason.frames import frame_of
from select2reason.text_shards import TextWriter, end_to_end, heights, pick, read

FRAMES = [
    pl.DataFrame({"question": ["a", None, "等等"], "trace": ["long " * 9, "", "b\n\nc"], "gold": [None, "1", "2"]}),
    pl.DataFrame({"question": ["d"], "trace": [None], "gold": [""]}, schema_overrides={"trace": pl.String}),
]
packings = pytest.mark.parametrize("packed", [False, True])


@pytest.fixture
def file(tmp_path: Path, packed: bool) -> Path:
    with TextWriter(tmp_path / "text-00000.arrow", FRAMES[0].columns, packed=packed) as writer:
        for frame in FRAMES:
            writer.write(end_to_end(frame))
    return tmp_path / "text-00000.arrow"


@packings
def test_columns_are_read_as_they_were_written(file: Path) -> None:
    assert heights(file) == [3, 1]
    for columns in (["question", "trace", "gold"], ["gold", "question"], ["trace"]):
        for found, wanted in zip(read(file, columns), FRAMES, strict=True):
            assert found.equals(wanted[columns])


@packings
def test_a_file_is_written_in_pieces_and_is_the_same(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({"trace": ["".join(map(str, range(n, n + 900))) for n in range(40)]})
    wrote = []
    for piece in (1 << 20, 1_000, 7):
        monkeypatch.setattr(text_shards, "_PIECE_BYTES", piece)
        with TextWriter(tmp_path / "text", ["trace"], packed=packed) as writer:
            writer.write(end_to_end(frame))
        wrote.append((tmp_path / "text").read_bytes())
    assert wrote[0] == wrote[1] == wrote[2]
    assert next(read(tmp_path / "text", ["trace"])).equals(frame)


def test_a_disk_that_is_full_says_so() -> None:
    with pytest.raises(OSError, match="No space left"), TextWriter(Path("/dev/full"), ["trace"]) as writer:
        writer.write(end_to_end(pl.DataFrame({"trace": ["x" * 10_000]})))


@packings
def test_rows_are_picked_in_the_order_given(file: Path) -> None:
    assert frame_of(pick(file, 0, np.array([2, 0, 2]), ["gold", "trace"])).equals(
        FRAMES[0][[2, 0, 2]][["gold", "trace"]]
    )
    assert frame_of(pick(file, 1, np.array([0]), ["trace"])).equals(FRAMES[1][["trace"]])


@packings
def test_a_column_that_is_not_there_is_a_damaged_file(file: Path) -> None:
    with pytest.raises(pa.ArrowException):
        pick(file, 0, np.array([0]), ["question", "tail"])
    with pytest.raises(pa.ArrowException):
        next(read(file, ["question", "tail"]))


def test_what_is_packed_is_smaller(tmp_path: Path) -> None:
    text = end_to_end(pl.DataFrame({"trace": ["so x is three, and " * 5_000]}))
    sizes = []
    for packed in (False, True):
        with TextWriter(tmp_path / "text", ["trace"], packed=packed) as writer:
            writer.write(text)
        sizes.append((tmp_path / "text").stat().st_size)
    assert sizes[1] < sizes[0] / 5


@pytest.mark.parametrize("last", [2**40, 5, -1])
def test_a_text_that_ends_beyond_its_bytes_is_a_damaged_file(tmp_path: Path, last: int) -> None:
    file = tmp_path / "text"
    with TextWriter(file, ["trace"]) as writer:
        writer.write(end_to_end(pl.DataFrame({"trace": ["ab", "cd"]})))
    sound = np.array([0, 2, 4]).tobytes()
    assert file.read_bytes().count(sound) == 1
    file.write_bytes(file.read_bytes().replace(sound, np.array([0, 2, last]).tobytes()))
    with pytest.raises(pa.ArrowException):
        pick(file, 0, np.array([0]), ["trace"])
    with pytest.raises(pa.ArrowException):
        next(read(file, ["trace"]))
