"""Environments of other trainers, made once from a list of packages and kept beside the project.

Their packages stand before the project's own, which lend what is not listed (torch above all): a list takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
KEPT = HERE.parents[1] / ".peers"


def ask(peer: str, *words: str | Path, environment: str | None = None) -> dict[str, Any]:
    """What `PEER_reads.py` finds, run in the peer's environment; the test is skipped where that cannot be made."""
    KEPT.mkdir(exist_ok=True)
    out = KEPT / f"{peer}-answer-{os.getpid()}.json"
    command = [str(_python(environment or peer)), str(HERE / f"{peer}_reads.py"), *map(str, words), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_QUIET})
    assert done.returncode == 0, f"{peer}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    answer: dict[str, Any] = json.loads(out.read_text())
    out.unlink()
    return answer


_QUIET = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "DISABLE_VERSION_CHECK": "1", "PYTHONPATH": ""}


def _python(peer: str) -> Path:
    wanted = HERE / f"{peer}.txt"
    if not wanted.exists():  # the project itself needs it
        return Path(sys.executable)
    key = hashlib.sha256(wanted.read_bytes() + sys.version.encode() + sysconfig.get_paths()["purelib"].encode())
    folder = KEPT / f"{peer}-{key.hexdigest()[:12]}"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder, wanted)
    return folder / "bin" / "python"


def _make(folder: Path, wanted: Path) -> None:
    venv.create(folder, with_pip=False, symlinks=True)
    own = next((folder / "lib").glob("python*")) / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--target", str(own), "--requirement", str(wanted)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"needs the packages of {wanted.name}, which pip cannot get: {done.stderr.strip()[-200:]}")
    (own / "zz_lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    (folder / "whole").touch()
