"""What each rule found: the right rows, and the place in the text that it goes by."""

from __future__ import annotations

import polars as pl

from select2reason.report import findings, rows_to_show
from select2reason.report.facts import FLAGS

TABLE = pl.DataFrame(
    {
        "row": [0, 1, 2, 3, 4],
        "question_group": [0, 1, 2, 3, 4],
        "trace_tokens_raw": [100, 400, 200, 300, 500],
        "total_tokens": [110, 410, 210, 310, 510],
        "loop_share": [0.0, 0.9, 0.4, 0.5, 0.0],
        "loop_start": [None, 200, 50, 100, None],
        "benchmark": [None, None, None, None, "aime24"],
        "reason": ["selected", "cut_off", "looping", "looping", "contaminated"],
        **{name: [False] * 5 for name in FLAGS},
        "looping": [False, True, True, True, False],
        "cut_off": [False, True, False, False, False],
        "contaminated": [False, False, False, False, True],
        "no_answer": [None] * 5,
    }
)


def texts(rows: list[int]) -> pl.DataFrame:
    trace = "the beginning " * 200 + "HERE IT TURNS " + "and round it goes " * 200
    own = {"question": "What?", "head": "<think>", "trace": trace, "tail": "</think>4", "gold": "4"}
    return pl.concat([pl.DataFrame([own] * len(rows)), TABLE[rows]], how="horizontal")


def test_rows_left_out_for_a_rule_come_first_then_the_longest() -> None:
    assert rows_to_show(TABLE) == {"looping": [3, 2, 1], "cut_off": [1], "contaminated": [4]}
    assert rows_to_show(TABLE.drop("reason"))["looping"] == [1, 3, 2]


def test_what_is_shown() -> None:
    shown = rows_to_show(TABLE)
    found = findings(shown, texts([1, 2, 3, 4]))
    loop = found["looping"][2]
    assert loop.label == "trace, from character 3,207 to its end"  # token 200 of 400 is in the middle
    assert loop.excerpt.tail.endswith("and round it goes ")
    assert loop.figures == "row 1 · 400 tokens as it stands · 90.0% of them loop, the first at token 200"
    assert found["contaminated"][0].excerpt.head == "What?"
    assert found["contaminated"][0].figures.endswith("in aime24")
    assert found["cut_off"][0].excerpt.head.endswith("</think>4")
