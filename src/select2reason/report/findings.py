"""What each rule found, shown: a few of the rows that it flags, with a part of the text, where it can the telling one.

The longest flagged traces are shown, by their length as they stand: a loop word for word counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from select2reason.health.language import passage
from select2reason.report import plain
from select2reason.report.facts import FLAGS

SHOWN = 3  # rows a rule
_AROUND_CHARS = 500  # from each end of what is shown of a text


@dataclass(frozen=True, slots=True)
class Finding:
    """One flagged row: what was found, and where. `label` names the part of the example that `excerpt` is of."""

    row: int
    figures: str
    opening: str
    label: str
    excerpt: plain.Excerpt


def rows_to_show(table: pl.DataFrame) -> dict[str, Sequence[int]]:
    """For each rule the rows to show: those that were left out for it first, and of these the longest."""
    shown: dict[str, Sequence[int]] = {}
    for rule in FLAGS:
        flagged = table.filter(pl.col(rule).fill_null(False))
        if flagged.height:
            first = [pl.col("reason") != rule] if "reason" in table.columns else []
            order = flagged.sort(*first, -pl.col("trace_tokens_raw").cast(pl.Int64), "row")
            compared = not order["question_group"].null_count()
            asked = order.unique("question_group", keep="first", maintain_order=True) if compared else order
            shown[rule] = asked["row"].head(SHOWN).to_list()
    return shown


def findings(shown: Mapping[str, Sequence[int]], texts: pl.DataFrame) -> dict[str, Sequence[Finding]]:
    """For each rule what it found; `texts` has the columns question, head, trace, tail, gold and those of the score
    table, one row for each row that is shown."""
    by_row = {row["row"]: row for row in texts.iter_rows(named=True)}
    return {rule: [_finding(rule, by_row[row]) for row in rows] for rule, rows in shown.items()}


def _finding(rule: str, row: Mapping[str, object]) -> Finding:
    label, text = _place(rule, row)
    return Finding(
        row=int(str(row["row"])),
        figures=_figures(rule, row),
        opening=plain.opening(str(row["question"])),
        label=label,
        excerpt=plain.excerpt(text, _AROUND_CHARS),
    )


def _place(rule: str, row: Mapping[str, object]) -> tuple[str, str]:
    trace, tail = str(row["trace"]), str(row["tail"])
    if rule == "looping":
        share = _number(row["loop_start"]) / max(1.0, _number(row["trace_tokens_raw"]))
        at = int(share * len(trace))
        return f"trace, from character {at:,} to its end", trace[at:]
    if rule in ("cut_off", "no_answer", "wrong_answer", "runs_on", "damaged_tags"):
        end = (trace + tail)[-2 * _AROUND_CHARS :]
        gold = f"; the gold answer is {row['gold']}" if rule in ("no_answer", "wrong_answer") and row["gold"] else ""
        return f"end of the response{gold}", end
    if rule in ("contaminated", "duplicate"):
        return "question", str(row["question"])
    if rule == "language_switch":
        return "trace, around the passage", _around(trace, passage(str(row["question"]), trace))
    return "trace", trace


def _around(text: str, passage: str) -> str:
    at = max(0, text.find(passage))
    return text[max(0, at - _AROUND_CHARS) : at + _AROUND_CHARS]


def _figures(rule: str, row: Mapping[str, object]) -> str:
    said = [f"row {row['row']}", f"{_number(row['trace_tokens_raw']):,.0f} tokens as it stands"]
    if rule == "looping":
        share, start = _number(row["loop_share"]), _number(row["loop_start"])
        said.append(f"{plain.share(share)} of them loop, the first at token {start:,.0f}")
    if rule == "contaminated":
        said.append(f"in {row['benchmark']}")
        if row.get("overlap") is not None:
            said.append(f"problem {row['problem']} from 0, {plain.share(_number(row['overlap']))} of its runs of words")
    if rule == "over_cutoff":
        said.append(f"{_number(row['total_tokens']):,.0f} tokens in all")
    return " · ".join(said)


def _number(value: object) -> float:
    return float(str(value)) if value is not None else 0.0
