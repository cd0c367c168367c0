"""How many planted benchmark problems are found, and what is found in questions that should hold none.

    python benchmarks/contamination_quality.py SHARED [--hits FILE] [--pool POOL]

SHARED is the folder of real data. Every problem of the shipped benchmarks is planted three times: verbatim; lightly
edited (LaTeX spacing, capitals, punctuation and one clause of other words); with other numbers. Then the DeepScaleR
questions are searched; --hits writes every pair that was found there, to be read by eye. With --pool, a Parquet file in
the OpenR1 layout, 1,000 of each kind are put into its rows and `select` finds them there.
"""

import argparse
import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
from fingerprint_benchmarks import questions

from select2reason import pipeline
from select2reason.benchmarks import BENCHMARKS
from select2reason.contamination import find_hits, load_prints
from select2reason.contamination.overlap import OTHER_NUMBERS, SAME
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings

_REMARK = (
    "consider the situation below where someone has carefully written several remarks about these objects and we would"
    " now like to know what happens under such conditions"
)


_PROMPT = " Let's think step by step and output the final answer within \\boxed{}."


def spaced(text: str, draw: random.Random) -> str:
    text = re.sub(r"\s*([=+<>])\s*", lambda m: f" {m[1]} " if draw.random() < 0.6 else m[1], text)
    text = text.replace("\\frac", "\\dfrac").replace("\\left", "").replace("\\right", "")
    text = re.sub(r"\$([^$]+)\$", lambda m: f"\\( {m[1]} \\)" if draw.random() < 0.7 else f"$ {m[1]} $", text)
    return re.sub(r",(?!\d)", lambda m: ",\\," if draw.random() < 0.3 else m[0], text)


def other_capitals(text: str, draw: random.Random) -> str:
    if "\\" not in text and draw.random() < 0.5:
        return draw.choice([text.upper(), text.title()])
    return text.lower()


def other_points(text: str, draw: random.Random) -> str:
    text = re.sub(r"[.]\s", lambda m: draw.choice(["; ", ". ", "! ", " - "]), text)
    return text.rstrip(".? ") + draw.choice(["?", ".", " ...", "!", ""])


def reworded(text: str, draw: random.Random) -> str:
    """One stretch of plain words, a fifth of the text and at most eight, becomes other words."""
    parts = text.split(" ")
    stretches: list[list[int]] = [[]]
    for place, part in enumerate(parts):
        if re.fullmatch(r"[A-Za-z][a-z]*[,.]?", part):
            stretches[-1].append(place)
        elif stretches[-1]:
            stretches.append([])
    longest = max(map(len, stretches))
    if not longest:
        return text
    stretch = draw.choice([one for one in stretches if len(one) >= min(3, longest)])
    size = min(len(stretch), max(3, len(parts) // 5), 8)
    start = stretch[draw.randrange(len(stretch) - size + 1)]
    return " ".join([*parts[:start], *draw.sample(_REMARK.split(), size), *parts[start + size :]])


def lightly_edited(text: str, draw: random.Random) -> str:
    for edit in (spaced, other_capitals, other_points, reworded):
        text = edit(text, draw)
    return text


def other_numbers(text: str, draw: random.Random) -> str:
    return re.sub(r"\d+", lambda m: str(int(m[0]) + draw.randrange(1, 9)) if len(m[0]) < 12 else m[0], text)


def kinds(texts: list[str]) -> pl.Series:
    """Of each question the kind of its closest hit; null where there is none."""
    hits = find_hits(pl.Series(texts), load_prints())
    return hits.list.first().struct.field("kind")


def planted(folder: Path) -> None:
    problems = [text for one in BENCHMARKS.values() if one.form != "roles" for text in questions(one, folder) or []]
    texts = [text for text in problems if text]
    edits: list[tuple[str, Callable[[str, random.Random], str], str]] = [
        ("verbatim", lambda text, _: text, SAME),
        ("lightly edited", lightly_edited, SAME),
        ("other numbers", other_numbers, OTHER_NUMBERS),
        ("verbatim, with a prompt's instructions", lambda text, _: f"{text}{_PROMPT}", SAME),
        (
            "other numbers, with a prompt's instructions",
            lambda text, draw: other_numbers(text, draw) + _PROMPT,
            OTHER_NUMBERS,
        ),
    ]
    for name, edit, expected in edits:
        draw = random.Random(0)
        pairs = [(text, edit(text, draw)) for text in texts]
        changed = [new for old, new in pairs if name.startswith("verbatim") or new.removesuffix(_PROMPT) != old]
        found = kinds(changed)
        told = ", ".join(f"{kind or 'nothing'} {n:,}" for kind, n in found.value_counts(sort=True).iter_rows())
        share = (found == expected).fill_null(False).mean()
        print(f"{name}: {len(changed):,} planted, {share:.1%} as {expected} ({told})")


def planted_in(pool: Path, folder: Path) -> None:
    """The same through the whole program, in the rows of a pool."""
    texts = [text for one in BENCHMARKS.values() if one.form != "roles" for text in questions(one, folder) or []]
    draw = random.Random(1)
    frame = pl.read_parquet(pool)
    rows = draw.sample(range(frame.height), 3_000)
    asked = frame["problem"].to_list()
    kinds_of = {}
    for place, row in enumerate(rows):
        name, edit = [("verbatim", str), ("lightly edited", lightly_edited), ("other numbers", other_numbers)][
            place // 1_000
        ]
        text = draw.choice([text for text in texts if text and re.search(r"\d", text)])
        asked[row] = text if name == "verbatim" else edit(text, draw)
        kinds_of[row] = name
    with tempfile.TemporaryDirectory() as temporary:
        frame.with_columns(problem=pl.Series(asked)).write_parquet(path := Path(temporary) / "planted.parquet")
        settings = PoolSettings(pools=(str(path),), cache_dir=Path(temporary) / "cache")
        pipeline.select(settings, ScoreSettings(), SelectSettings(), out := Path(temporary) / "out")
        table = pl.read_parquet(out / "scores.parquet").with_columns(
            planted=pl.Series([kinds_of.get(row, "nothing") for row in range(frame.height)])
        )
    found = table.group_by("planted").agg(
        pl.len(), pl.col("contaminated").sum(), pl.col("other_numbers").sum(), pl.col("selected").sum()
    )
    for name, rows_of, same, other, selected in found.sort("planted").iter_rows():
        told = f"contaminated {same:,}, other numbers {other:,}, selected {selected:,}"
        print(f"in the pool, {name}: {rows_of:,} rows, {told}")


def clean(data: Path, out: Path | None, benchmarks: Path) -> None:
    frame = pl.read_parquet(data / "difficulty" / "deepscaler_qwen25math7b_passrate.parquet", columns=["prompt"])
    asked = frame["prompt"].str.replace(r"\s*Let's think step by step.*$", "").unique(maintain_order=True)
    hits = find_hits(asked, load_prints())
    pairs = pl.DataFrame({"question": asked, "hit": hits}).explode("hit", empty_as_null=False).unnest("hit")
    for kind in (SAME, OTHER_NUMBERS):
        some = pairs.filter(pl.col("kind") == kind)
        print(f"DeepScaleR: {some['question'].n_unique()} of {len(asked):,} questions hit as {kind}")
    if out:
        texts = {one.name: questions(one, benchmarks) for one in BENCHMARKS.values() if one.form != "roles"}
        named = load_prints().problems.select("benchmark", number="problem").with_row_index("problem")
        read = pairs.join(named, on="problem").with_columns(
            text=pl.struct("benchmark", "number").map_elements(
                lambda at: (texts[at["benchmark"]] or [])[at["number"]], return_dtype=pl.String
            )
        )
        read.sort("kind", "overlap").write_ndjson(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--hits", type=Path)
    parser.add_argument("--pool", type=Path)
    args = parser.parse_args()
    planted(args.shared / "data" / "benchmarks")
    if args.pool:
        planted_in(args.pool, args.shared / "data" / "benchmarks")
    clean(args.shared / "data", args.hits, args.shared / "data" / "benchmarks")


if __name__ == "__main__":
    main()
