"""An environment for a peer: made once from a list of packages, kept in .peers as those of tests/peers are."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent / "programs"
KEPT = Path(__file__).resolve().parents[2] / ".peers"


def environment(peer: str) -> Path:
    """The folder of commands of the environment that `programs/PEER.txt` lists, made now where it is missing."""
    wanted = PROGRAMS / f"{peer}.txt"
    key = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = KEPT / f"{peer}-{key}"
    if not (folder / "whole").exists():
        print(f"making the environment of {peer}, which takes minutes and gigabytes, in {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True, symlinks=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*map(str, pip), "--requirement", str(wanted)], check=True)
        (folder / "whole").touch()
    return folder / "bin"
