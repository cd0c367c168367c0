"""The explorer over a large scored pool: first view, re-ranking, table, search, reading, and the server's memory.

    python benchmarks/view_speed.py SHARED OUT [ROWS]

Makes a pool of ROWS (1,000,000) in OUT/pool.parquet with the questions of SHARED/data/difficulty, each asked in
other words again and again, and short traces; selects from it; starts `view` and measures it in headless Chromium
and by its own answers. Needs playwright and Chromium. What is in OUT already is used again.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import psutil
from playwright.sync_api import Page, sync_playwright

shared, out = Path(sys.argv[1]), Path(sys.argv[2])
rows = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
environment = {**os.environ, "SELECT2REASON_CACHE": str(out / "cache")}


def make_pool(path: Path) -> None:
    """Questions that differ in their last words; traces of some 150 to 5,000 characters, no two alike."""
    rng = np.random.default_rng(0)
    table = pl.read_parquet(shared / "data" / "difficulty" / "deepscaler_qwen25math7b_passrate.parquet")
    asked = table["prompt"].to_list()
    traces = pl.read_parquet(shared / "data" / "traces" / "limo_r1_distill_qwen32b.parquet")["solution"].to_list()
    steps = [step for trace in traces for step in trace.split("\n\n") if 20 < len(step) < 600]
    picked = rng.integers(len(steps), size=(rows, 12))
    kept = np.minimum(12, rng.lognormal(1.3, 0.6, rows).astype(int) + 1)
    kinds = ("Algebra", "Geometry", "Number Theory", "Combinatorics", "Calculus", "Other")
    pl.DataFrame(
        {
            "question": [f"{asked[i % len(asked)]} Call it case {i}: {steps[picked[i, 0]][:60]}" for i in range(rows)],
            "response": [
                f"<think>\nCase {i}.\n\n" + "\n\n".join(steps[j] for j in picked[i, : kept[i]]) + "\n</think>\n\nDone."
                for i in range(rows)
            ],
            "category": [kinds[i % 6] for i in range(rows)],
        }
    ).write_parquet(path, compression="zstd")


def told(name: str, seconds: list[float]) -> None:
    median, most = (1000 * figure for figure in (statistics.median(seconds), max(seconds)))
    print(f"{name:<48} median {median:6.0f} ms, most {most:6.0f} ms, n = {len(seconds)}")


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def until(page: Page, expression: str) -> None:
    """Looked at as often as possible; the page forbids what Playwright waits by."""
    while not page.evaluate(expression):
        pass


out.mkdir(parents=True, exist_ok=True)
if not (out / "pool.parquet").exists():
    print(f"pool of {rows:,} made in {timed(lambda: make_pool(out / 'pool.parquet')):.0f} s")
if not (out / "selection").exists():
    words = [
        sys.executable,
        "-m",
        "select2reason",
        "select",
        f"{out / 'pool.parquet'}",
        "--out",
        f"{out / 'selection'}",
    ]
    chosen = timed(lambda: subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL))
    print(f"selected in {chosen:.0f} s")
html = (out / "selection" / "report.html").stat().st_size
print(f"report.html: {html / 1e6:.2f} MB")

start = time.perf_counter()
words = [sys.executable, "-m", "select2reason", "view", str(out / "selection"), "--no-browser", "--json"]
server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
assert server.stdout is not None
address = json.loads(server.stdout.readline())["address"]
listening = time.perf_counter() - start
try:
    process = psutil.Process(server.pid)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(args=["--no-sandbox"], executable_path="/usr/bin/chromium")
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        opened = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        viewed = time.perf_counter()
        print(
            f"server answers {listening:.2f} s after its start; the first view is whole {viewed - opened:.2f} s later"
        )
        again = timed(lambda: (page.reload(), page.wait_for_selector("html[data-ready]")))
        print(f"the page once more: {again:.2f} s; the server holds {process.memory_info().rss / 1e6:.0f} MB")

        def rank(weight: float) -> None:
            """A move of the slider until the figures of the new choice stand there."""
            page.evaluate("window.figures = document.querySelector('#figures').firstChild")
            page.eval_on_selector("#weight", f"it => {{ it.value = {weight}; it.dispatchEvent(new Event('input')); }}")
            until(page, "document.querySelector('#figures').firstChild !== window.figures")

        told("slider to figures and plots on the page", [timed(lambda w=i: rank(w / 100)) for i in range(26, 66)])
        fetched = (
            "async path => { const start = performance.now(); await (await fetch(path)).text();"
            " return performance.now() - start; }"
        )

        def asked(*paths: str) -> list[float]:
            return [page.evaluate(fetched, path) / 1000 for path in paths]

        told(
            "re-rank, as the server answers it",
            asked(*(f"/api/choice?weight=0.{i}&fraction=0.{i % 9 + 1}" for i in range(101, 131))),
        )
        told(
            "a page of the table, another weight each time",
            asked(*(f"/api/rows?weight=0.{i}" for i in range(201, 221))),
        )
        told(
            "a page of the table, filtered and sorted",
            asked(*(f"/api/rows?least_tokens={i}&sort=difficulty" for i in range(100, 120))),
        )
        told("categories", asked("/api/categories"))
        told(
            "a search through all questions",
            asked(*(f"/api/rows?search={word}" for word in ("triangle", "prime", "zzz"))),
        )
        told("an example, opened", asked(*(f"/api/example/{i * (rows // 21)}" for i in range(1, 21))))
        browser.close()
    peak = int(Path(f"/proc/{server.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1000
    print(f"memory of the server after all that: {process.memory_info().rss / 1e6:.0f} MB, at most {peak:.0f} MB")
finally:
    server.terminate()
    server.wait()
