"""Benchmark problems: one line each, the same problem first, the closest question shown."""

import polars as pl

from select2reason.report import hits, hits_to_show


def test_each_problem_once_with_its_closest_question() -> None:
    closest = pl.DataFrame(
        {
            "row": [1, 4, 5, 8, 9],
            "kind": ["other numbers", "same problem", "same problem", "same problem", "same problem"],
            "benchmark": ["aime24", "math500", "math500", "amc23", "math500"],
            "problem": [3, 7, 7, 7, 8],
            "overlap": [1.0, 0.5, 0.75, 0.75, 0.25],
        }
    )
    problems = hits_to_show(closest)
    found = hits(problems, pl.Series([f"question {row}" for row in problems["row"]]))
    shown = [(hit.benchmark, hit.problem, hit.questions, hit.row, hit.opening) for hit in found]
    assert shown == [
        ("math500", 7, 2, 5, "question 5"),
        ("amc23", 7, 1, 8, "question 8"),
        ("math500", 8, 1, 9, "question 9"),
        ("aime24", 3, 1, 1, "question 1"),
    ]
