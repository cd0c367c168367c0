"""Disks that are full, read-only, over a quota or gone, caches that vanish, clocks that jump: one line that names the
fix, exit code 1 or 2, the earlier result as it was, byte for byte; once the trouble is over the same command succeeds.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from select2reason.export import file_digests
from tests.torture import damage
from tests.torture.conftest import Tell
from tests.torture.processes import Ended, as_others, ended, run, started

Often = Callable[[int, int], int]
ROOMS_KB = (16, 64, 128, 256, 512, 640, 768, 896, 1024, 1152, 1280, 1536, 1792, 2048, 3072)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Some rows with long texts that do not pack well, so that a disk fills up in the midst of them."""
    chance = random.Random(0)
    rows = [
        {"question": f"What is {n} + 1?", "response": f"<think>{text}.</think>\n\nIt is {n}.", "id": n}
        for n, text in enumerate(chance.randbytes(chance.randrange(200, 800)).hex() for _ in range(400))
    ]
    path = tmp_path / "pool.jsonl"
    path.write_bytes(damage.lines(rows))
    return path


def select(pool: Path, out: Path, cache: Path) -> list[str | Path]:
    """The command."""
    return ["select", pool, "--out", out, "--cache-dir", cache, "--force", "--preset", "paper", "--seed", "1"]


def earlier(pool: Path, out: Path, cache: Path) -> dict[str, str]:
    """An earlier result at `out`, by its files' digests."""
    assert run(*select(pool, out, cache), "--rows", "20").code == 0
    return file_digests(out)


def clean(folder: Path) -> bool:
    """Whether nothing half written is left beside a result."""
    return not [path for path in folder.iterdir() if path.name.endswith((".part", ".old"))]


@contextmanager
def small_disk(at: Path, room_kb: int) -> Iterator[Path]:
    """A file system of its own, of this size. The test is skipped where none may be mounted."""
    at.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={room_kb}k", "tmpfs", str(at)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], capture_output=True, check=False)


def resize(disk: Path, room_kb: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={room_kb}k", str(disk)], check=True)


def told_well(done: Ended, *parts: str) -> bool:
    """Exit code 1 or 2 with the one line (`ended` saw to that), which names one of these things."""
    return done.code in (1, 2) and any(part in done.error for part in parts)


@pytest.mark.parametrize("full", ["output", "cache"])
def test_a_full_disk_at_any_moment(tmp_path: Path, pool: Path, often: Often, tell: Tell, full: str) -> None:
    rooms = [room + extra for room in ROOMS_KB[:: often(14, 1)] for extra in range(0, often(1, 48), 16)]
    failed, lost = 0, 0
    for room_kb in rooms:
        with small_disk(tmp_path / "disk", 64 << 10) as disk:
            out = (disk if full == "output" else tmp_path) / "out"
            cache = (disk if full == "cache" else tmp_path) / "cache"
            before = earlier(pool, out, cache)
            shutil.rmtree(cache)
            used_kb = sum(path.stat().st_blocks for path in disk.rglob("*")) // 2
            resize(disk, used_kb + room_kb)
            done = run(*select(pool, out, cache))
            if done.code:
                failed += 1
                whole = file_digests(out) == before and clean(out.parent)
                lost += not (whole and told_well(done, "free some space"))
                resize(disk, 64 << 10)
                done = run(*select(pool, out, cache))
            lost += done.code != 0 or len(list(out.glob("data/*.parquet"))) != 1
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
    tell(f"a disk for the {full} that fills up", tried=len(rooms), lost=lost, failed_and_went_on=failed)
    assert lost == 0
    assert failed


def no_larger(most: int) -> None:
    """In a new process: no file may grow beyond this (EFBIG, as a quota on one file)."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_files_that_may_not_grow(tmp_path: Path, pool: Path, often: Often, tell: Tell) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    before = earlier(pool, out, cache)
    tried, failed, lost = often(2, 40), 0, 0
    for number in range(tried):
        shutil.rmtree(cache)
        limit = int(200 * (1_000_000 / 200) ** (number / (tried - 1)))
        done = run(*select(pool, out, cache), "--rows", "20", before=partial(no_larger, limit))
        failed += done.code != 0
        lost += done.code != 0 and not told_well(done, "File too large", "too large")
        lost += file_digests(out) != before or not clean(tmp_path)
    tell("files that may not grow further", tried=tried, lost=lost, failed=failed)
    assert lost == 0 and failed
    assert run(*select(pool, out, cache), "--rows", "20").code == 0


@pytest.mark.parametrize("what", ["output", "cache"])
def test_a_folder_that_may_not_be_written(tmp_path: Path, pool: Path, what: str) -> None:
    out, cache = tmp_path / "there" / "out", tmp_path / "cache"
    out.parent.mkdir()
    before = earlier(pool, out, cache)
    shutil.rmtree(cache / "pools")
    shut = out.parent if what == "output" else cache
    shut.chmod(0o555)
    try:
        done = run(*select(pool, out, cache), before=as_others)
    finally:
        shut.chmod(0o755)
    assert told_well(done, "Permission denied", "no permission", "cannot"), done.told
    assert file_digests(out) == before
    assert run(*select(pool, out, cache), before=as_others).code == 0


@pytest.mark.parametrize("what", ["output", "cache"])
def test_a_disk_mounted_read_only(tmp_path: Path, pool: Path, what: str) -> None:
    with small_disk(tmp_path / "disk", 64 << 10) as disk:
        out = (disk if what == "output" else tmp_path) / "out"
        cache = (disk if what == "cache" else tmp_path) / "cache"
        before = earlier(pool, out, cache)
        shutil.rmtree(cache / "pools")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = run(*select(pool, out, cache))
        assert told_well(done, "Read-only file system"), done.told
        assert file_digests(out) == before
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert run(*select(pool, out, cache)).code == 0


def vanish_cache(cache: Path, out: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)


def vanish_pools(cache: Path, out: Path) -> None:
    shutil.rmtree(cache / "pools", ignore_errors=True)


def rename_cache(cache: Path, out: Path) -> None:
    if cache.exists():
        cache.rename(cache.with_name(f"gone-{time.monotonic_ns()}"))


def vanish_parts(cache: Path, out: Path) -> None:
    for part in out.parent.glob(".*.part"):
        shutil.rmtree(part, ignore_errors=True)


def rename_parent(cache: Path, out: Path) -> None:
    out.parent.rename(out.parent.with_name("away"))


@pytest.mark.parametrize("trouble", [vanish_cache, vanish_pools, rename_cache, vanish_parts, rename_parent])
def test_what_vanishes_during_a_run(
    tmp_path: Path, pool: Path, often: Often, tell: Tell, trouble: Callable[[Path, Path], None]
) -> None:
    out, cache, away = tmp_path / "there" / "out", tmp_path / "cache", tmp_path / "away"
    out.parent.mkdir()
    before = earlier(pool, out, cache)
    tried, failed, lost = often(1, 30), 0, 0
    for number in range(tried):
        shutil.rmtree(cache, ignore_errors=True)
        process = started(*select(pool, out, cache), "--rows", "20")
        begun = time.monotonic()
        while process.poll() is None and time.monotonic() - begun < 0.5 + number * 2.0 / tried:
            time.sleep(0.005)
        trouble(cache, out)
        done = ended(process, 120)
        if away.exists():
            shutil.rmtree(out.parent, ignore_errors=True)
            away.rename(out.parent)
        failed += done.code != 0
        lost += file_digests(out) != before
        shutil.rmtree(cache, ignore_errors=True)
    lost += run(*select(pool, out, cache), "--rows", "20").code != 0 or file_digests(out) != before
    tell(f"{trouble.__name__.replace('_', ' ')} during a run", tried=tried, lost=lost, failed=failed)
    assert lost == 0


def test_a_mount_that_goes_away(tmp_path: Path, pool: Path, often: Often, tell: Tell) -> None:
    """Unmounted lazily, as a network drive that drops off: the run ends well on what it holds, or in one line."""
    out, cache = tmp_path / "out", tmp_path / "disk" / "cache"
    with small_disk(tmp_path / "disk", 64 << 10):
        before = earlier(pool, out, cache)
    tried, failed, lost = often(1, 20), 0, 0
    for number in range(tried):
        with small_disk(tmp_path / "disk", 64 << 10) as disk:
            process = started(*select(pool, out, cache), "--rows", "20")
            time.sleep(0.5 + number * 2.0 / tried)
            subprocess.run(["umount", "-l", str(disk)], check=True)
            failed += ended(process, 120).code != 0
            lost += file_digests(out) != before
        shutil.rmtree(cache, ignore_errors=True)
    tell("a mount that goes away during a run", tried=tried, lost=lost, failed=failed)
    assert lost == 0


def test_clocks_that_jump(tmp_path: Path, pool: Path, often: Often, tell: Tell) -> None:
    """File times of 1970, of 2100, and of before they were last seen: nothing stale is used, nothing is lost."""
    out, cache = tmp_path / "out", tmp_path / "cache"
    before = earlier(pool, out, cache)
    times = (0, 1, 4_102_444_800, 2**31 - 1, 1_000_000_000)[: often(1, 5)]
    lost = 0
    for when in times:
        for path in [pool, *cache.rglob("*"), *out.rglob("*")]:
            os.utime(path, (when, when))
        lost += run(*select(pool, out, cache), "--rows", "20").code != 0 or file_digests(out) != before
    text = pool.read_bytes()
    pool.write_bytes(text.replace(b"What is", b"How much"[:7]))  # as long as before
    os.utime(pool, (times[-1], times[-1]))
    lost += run(*select(pool, out, cache), "--rows", "20").code != 0 or file_digests(out) == before
    tell("clocks that jump", tried=len(times) + 1, lost=lost)
    assert lost == 0
