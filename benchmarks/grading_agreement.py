"""How verdicts compare with the grades stored beside 26,603 real answers, and how many answers are found in 32,786.

    python benchmarks/grading_agreement.py [--workers 2] [--show]

Needs ../shared/data/grading. Every row whose verdict differs from its stored grade was read by eye; its kind stands in
grading_disagreements.csv (file, row, kind: no text). A difference that is not in that list, or a listed one that is
gone, is printed, so the table of docs/grading.md stays true. Then answers are sought in the outputs of many models
that were asked for JSON, against two readers that know nothing of ours: strict JSON, and plain marks of an answer.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from grading_speed import DATA, GRADED, GSM8K, graded, pairs_of

from select2reason.grading import Grader, final_answer

KINDS = {
    "their-notation": "theirs: right, in a notation that was not read",
    "their-extraction": "theirs: another text was taken for the answer",
    "their-tolerance": "theirs: a hundredfold, or a number close by, was accepted",
    "their-parts": "theirs: an interval's ends, an order, or missing parts did not count",
    "their-gold": "theirs: the gold answer was mangled or blanked before",
    "ours-mended": "ours, mended since",
    "taste-no-marker": "taste: no answer is marked; theirs takes the last number",
    "taste-more": "taste: more is said than was asked",
    "taste-pair": "taste: a pair for a list",
    "taste-rounding": "taste: how far a rounding may go",
    "taste-unit": "taste: cents for dollars",
    "taste-choice": "taste: the box holds no letter",
    "not-judged": "ours: cannot be judged (differential equations, prose)",
}


def differences(workers: int) -> Iterator[tuple[str, int, bool, bool | None]]:
    """File, row, stored grade and verdict, wherever the two differ."""
    with Grader(workers) as grader:
        for name in (*GRADED, GSM8K):
            rows = graded(name)
            verdicts = grader.grade(pairs_of(rows))
            for number, (row, verdict) in enumerate(zip(rows, verdicts, strict=True)):
                if verdict is not row.stored:
                    yield name, number, row.stored, verdict
            agree = sum(verdict is row.stored for row, verdict in zip(rows, verdicts, strict=True))
            print(f"{name}: {agree:,} of {len(rows):,} agree ({agree / len(rows):.2%})")


def table(found: list[tuple[str, int, bool, bool | None]], *, show: bool) -> None:
    listed = pl.read_csv(Path(__file__).with_name("grading_disagreements.csv"))
    kinds = {(name, row): kind for name, row, kind in listed.rows()}
    counts = Counter((kinds.get((name, row), "not read yet"), name) for name, row, _, _ in found)
    gone = [where for where, kind in kinds.items() if where not in {one[:2] for one in found}]
    counts.update((kinds[where], where[0]) for where in gone if kinds[where] == "ours-mended")
    print(f"\n{'':66}" + "".join(f"{name.partition('_')[0]:>8}" for name in GRADED) + "     all")
    for kind in (*KINDS, "not read yet"):
        each = [counts[kind, name] for name in GRADED]
        print(f"{KINDS.get(kind, kind):66}" + "".join(f"{n:>8}" for n in each) + f"{sum(each):>8}")
    for where in gone:
        if kinds[where] != "ours-mended":
            print("no longer a difference:", *where, kinds[where])
    for name, row, stored, verdict in found:
        if show or (name, row) not in kinds:
            print(name, row, "stored", stored, "ours", verdict, kinds.get((name, row), "not read yet"))


# --- extraction -----------------------------------------------------------------------------------------------------


MARK = re.compile(r"""\\boxed\{[^}]|answer["']?\s*:\s*["']?\s*[^\s"'_{}]|\banswer is\s+\S|\n####\s*\S""", re.IGNORECASE)


def extraction(name: str) -> None:
    outputs = pl.read_parquet(DATA / f"{name}.parquet")["output"].to_list()
    found = [final_answer(output) for output in outputs]
    strict = [strict_json(output) for output in outputs]
    marked = [bool(MARK.search(output)) for output in outputs]
    taken = sum(answer is not None for answer, mark in zip(found, marked, strict=True) if mark)
    same = sum(squeezed(a) == squeezed(b) for a, b in zip(found, strict, strict=True) if b)
    whole = sum(bool(b) for b in strict)
    print(
        f"{name}: {len(outputs):,} outputs, {sum(marked):,} with a mark of an answer; found in {taken:,} of them",
        end="",
    )
    print(f" ({taken / sum(marked):.2%}); of {whole:,} that are strict JSON the same in {same:,} ({same / whole:.2%})")


def strict_json(output: str) -> str:
    """The answer where the whole output is one JSON object that says it plainly; "" elsewhere."""
    try:
        read = json.loads(output.strip())
    except json.JSONDecodeError:
        return ""
    answer = read.get("answer") if isinstance(read, dict) else None
    return str(answer) if isinstance(answer, str | int | float) and "boxed" not in str(answer) else ""


def squeezed(text: str | None) -> str:
    return re.sub(r"[\s$*.\\]|^(?:approximately|about)", "", text or "").lower()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="list every difference")
    args = parser.parse_args()
    table(list(differences(args.workers)), show=args.show)
    print()
    for name in ("zeroeval_math_l5_outputs", "zeroeval_gsm_outputs"):
        extraction(name)


if __name__ == "__main__":
    main()
