"""Parts: what is put in place whole, what a killed process left, and what is another's."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from select2reason import parts
from select2reason.export import folder
from select2reason.files import write_json
from select2reason.parts import exchanged, part_file, part_folder

HOLDING = """
import sys, time
from pathlib import Path
from select2reason.export import folder
from select2reason.files import write_json
from select2reason.parts import exchanged, part_file, part_folder
make = part_folder if sys.argv[2] == "folder" else part_file
with make(Path(sys.argv[1])) as part:
    print(part, flush=True)
    time.sleep(60)
"""


def holding(place: Path, kind: str) -> tuple[subprocess.Popen[str], Path]:
    """A process that is making something there."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(place), kind], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_process_s_part_goes_and_a_living_one_s_stays(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "made"
    place.parent.mkdir()
    make = part_folder if kind == "folder" else part_file
    process, other = holding(place, kind)
    with process:
        with make(place) as own:
            assert own != other
            assert own.exists() and other.exists()
        assert [*place.parent.iterdir()] == [other]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert other.exists()
        with make(place) as own:
            assert [*place.parent.iterdir()] == [own]
            own.rename(place)
    assert [*place.parent.iterdir()] == [place]


def test_another_machine_s_part_and_another_place_s_stay(tmp_path: Path) -> None:
    others = [tmp_path / f"made.{platform.node()}x.7.0.part", tmp_path / f"made2.{platform.node()}.7.0.part"]
    for other in others:
        other.mkdir()
    with part_folder(tmp_path / "made"):
        pass
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_name_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    with part_file(tmp_path / "made") as one, part_file(tmp_path / "made") as two:
        assert one != two
        one.write_text("first")
        one.replace(tmp_path / "made")
    assert (tmp_path / "made").read_text() == "first"
    assert [*tmp_path.iterdir()] == [tmp_path / "made"]


def test_two_folders_change_places_in_one_step(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchanged(tmp_path / "new", tmp_path / "old"):
        pytest.skip("this system or disk cannot exchange two names")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["old"]
    assert not exchanged(tmp_path / "new", tmp_path / "missing")


@pytest.mark.parametrize("can", [True, False], ids=["in one step", "in two"])
def test_an_earlier_result_is_replaced_and_nothing_is_left(
    can: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can:
        monkeypatch.setattr(parts, "exchanged", lambda part, place: False)
    for text in ("first", "second"):
        with folder.whole_folder(tmp_path / "out", force=True, kind="export") as part:
            (part / "rows").write_text(text)
            versions = {"select2reason": "1"}
            write_json(part / "manifest.json", {"kind": "export", "versions": versions, "outputs": {"rows": ""}})
    assert (tmp_path / "out" / "rows").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_no_name_comes_twice(tmp_path: Path) -> None:
    """A thread that goes on writing after an interrupt finds nothing there, least of all what another run makes."""
    names = []
    for _ in range(3):
        with part_folder(tmp_path / "out") as part:
            names.append(part)
    assert len(set(names)) == 3
