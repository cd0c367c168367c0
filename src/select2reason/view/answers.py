"""What the page is told: plain dictionaries of the pool, of a choice, of some rows, of one example."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from select2reason.cost import FORMULA
from select2reason.errors import UsageError
from select2reason.grading import final_answer
from select2reason.health.loops import LOOPING
from select2reason.reasons import OUTCOMES
from select2reason.report import plain
from select2reason.report.facts import FLAGS as MEANINGS
from select2reason.report.facts import REASONS as WHY
from select2reason.tags import answer_of
from select2reason.view.explored import FLAGS, VERDICTS, Asked, Choice, Explored
from select2reason.view.figures import Figures
from select2reason.view.query import NO_CATEGORY, Finder, Query
from select2reason.view.reading import Example, Part, Reader, Step, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_SHOWN = 50
_MOST_CATEGORIES = 200
_NEIGHBOURS = 3  # to each side
_INSTEAD = ("same_question", "duplicate")  # reasons that are another row
_OPENING_CHARS = 220


class Answers:
    """Everything that the page can ask about one explored pool."""

    def __init__(self, explored: Explored) -> None:
        self.explored = explored
        self._figures = Figures(explored)
        self._finder = Finder(explored)
        self._reader = Reader(explored.pool, str(explored.parameters.get("tokenizer", "builtin")))

    def prepare(self) -> None:
        """Begin what the first questions need, before they are asked: a page of the table, and the figures."""
        for first in (lambda: self.rows(Query(), Asked()), lambda: (self.pool(), self.choice(Asked()))):
            threading.Thread(target=first, daemon=True).start()

    def pool(self) -> dict[str, object]:
        """What does not change with a choice; `counts` are of the recorded one's reasons."""
        explored, parameters = self.explored, self.explored.parameters
        counts = dict(explored.table["reason"].value_counts().iter_rows())
        return {
            "name": explored.folder.resolve().name,
            "sources": [plain.visible(label) for label in explored.pool.labels[:20]],
            "more_sources": max(0, len(explored.pool.labels) - 20),
            "rows": explored.pool.rows,
            "eligible": int(explored.eligible.sum()),
            "selected": int(explored.recorded.sum()),
            "strategy": parameters.get("strategy"),
            "weight": explored.weight,
            "per_question": parameters.get("per_question"),
            "token_budget": parameters.get("token_budget"),
            "fraction": parameters.get("fraction"),
            "notes": [plain.visible(str(note)) for note in explored.manifest.get("notes") or []],
            "looping_from": LOOPING,
            "no_difficulty": explored.table["difficulty"].null_count(),
            "reasons": [
                {"name": name, "meaning": WHY.get(name, ""), "n": counts.get(name, 0)} for name in reversed(OUTCOMES)
            ],
            "flags": [
                {"name": name, "meaning": MEANINGS[name], "n": int(explored.table[name].sum())} for name in FLAGS
            ],
            "gpu_hours_by": FORMULA,
            **self._figures.of_pool(),
        }

    def categories(self) -> dict[str, object]:
        """The most common ones; the others are counted, and can be found by their names alone."""
        counted = self.explored.categories.value_counts(sort=True)
        named = counted.filter(pl.col("category").is_not_null())
        none = self.explored.categories.null_count()
        shown = [
            {"value": f"={name}", "name": plain.visible(str(name))[:80], "n": n}
            for name, n in named.head(_MOST_CATEGORIES).iter_rows()
        ]
        if named.height and none:
            shown.append({"value": NO_CATEGORY, "name": "none", "n": none})
        return {"categories": shown, "more": max(0, named.height - _MOST_CATEGORIES)}

    def choice(self, asked: Asked) -> dict[str, object]:
        """The figures of a choice."""
        return self._figures.of_choice(self.explored.choice(asked))

    def rows(self, query: Query, asked: Asked, *, first: int = 0) -> dict[str, object]:
        """Some rows of those that the query asks for, from the place `first` on, and how many there are."""
        choice = self.explored.choice(asked)
        found = self._finder.rows(query, choice)
        first = min(first, max(0, len(found) - 1) // ROWS_SHOWN * ROWS_SHOWN)
        shown = found[first : first + ROWS_SHOWN].astype(np.uint32)
        described = self._described(shown, choice)
        return {"total": len(found), "first": first, "size": ROWS_SHOWN, "rows": described}

    def _described(self, rows: NDArray[np.uint32], choice: Choice) -> list[dict[str, Any]]:
        if not len(rows):
            return []
        questions = self.explored.pool.few(rows, ["question"])["question"]
        known = self.explored.table[rows].select(
            *("difficulty", "trace_tokens", "total_tokens", "rethinking_tokens", "loop_share", "benchmark"),
            *FLAGS,
            "other_numbers",
        )
        place = self.explored.order(choice.weight).place
        described = []
        for row, question, figures in zip(rows.tolist(), questions, known.iter_rows(named=True), strict=True):
            described.append(
                {
                    "row": row,
                    "opening": plain.visible(plain.opening(question, _OPENING_CHARS)),
                    "place": int(place[row]) + 1 if self.explored.eligible[row] else None,
                    **self._fate(row, choice),
                    **{name: _finite(figures[name]) for name in figures if name not in FLAGS},
                    "answer": VERDICTS[self.explored.verdicts[row]],
                    "flags": [name for name in FLAGS if figures[name]],
                }
            )
        return described

    def _fate(self, row: int, choice: Choice) -> dict[str, object]:
        selected, recorded = bool(choice.selected[row]), bool(self.explored.recorded[row])
        change = None if selected == recorded else "in" if selected else "out"
        return {"selected": selected, "change": change, "reason": OUTCOMES[choice.reason[row]]}

    def example(self, row: int, asked: Asked, query: Query, *, first: int = 0) -> dict[str, object]:
        """One example: a page of its steps from `first` on; with the first page everything else as well."""
        example = self._read(row)
        steps, total = example.page(first)
        paged = {"row": row, "steps": [_step(step) for step in steps], "first": first, "total": total}
        if first:
            return paged
        choice = self.explored.choice(asked)
        around, place = self._around(row, choice, query)
        described = {one["row"]: one for one in self._described(np.array([row, *around], np.uint32), choice)}
        answer = pl.select(answer_of(pl.lit(example.tail))).item()
        return paged | {
            "about": described[row],
            "category": self._category(row),
            "question": _part(part(example.question)),
            "answer": _part(part(answer)),
            "gold": None if example.gold is None else _part(part(example.gold)),
            "why": self._why(row, choice),
            "read": None if (read := final_answer(example.tail or example.trace)) is None else _part(part(read)),
            "empty": not example.trace.strip(),
            "tokens": int(example.steps["tokens"].sum()) if example.steps["tokens"].count() else None,
            "repeated": int(example.steps["repeats"].sum()),
            "looping": int(example.steps["loops"].sum()),
            "neighbours": [described[one] for one in around],
            "found": place,
        }

    def whole(self, row: int) -> str:
        """Question and response of a row, as plain text. Raises UsageError where there is no such row."""
        return self._read(row).whole

    def _read(self, row: int) -> Example:
        if not 0 <= row < self.explored.pool.rows:
            raise UsageError(f"there is no row {row}; the last is {self.explored.pool.rows - 1}")
        return self._reader.read(row)

    def _why(self, row: int, choice: Choice) -> dict[str, object]:
        """Of a row its reason's meaning, its ranks, the last place that was taken, and which rows of its question (at
        most some) were chosen instead."""
        reason, table = OUTCOMES[choice.reason[row]], self.explored.table
        difficulty, length = table["rank_difficulty"][row], table["rank_length"][row]
        ranked = difficulty is not None
        place = self.explored.order(choice.weight).place
        same = table["question_group"].to_numpy() == table["question_group"][row]
        instead = np.flatnonzero(same & choice.selected)[:_NEIGHBOURS].tolist() if reason in _INSTEAD else []
        return {
            "meaning": WHY.get(reason, ""),
            "rank_difficulty": difficulty,
            "rank_length": length,
            "rank_joint": choice.weight * difficulty + (1 - choice.weight) * length if ranked else None,
            "last_place": int(place[choice.selected].max()) + 1 if choice.selected.any() else None,
            "instead": [one for one in instead if one != row],
        }

    def _category(self, row: int) -> str | None:
        category = self.explored.categories[row]
        return None if category is None else plain.visible(str(category))[:200]

    def _around(self, row: int, choice: Choice, query: Query) -> tuple[list[int], dict[str, object]]:
        """The rows beside this one in rank, and the rows before and after it among those that are found."""
        order = self.explored.order(choice.weight)
        place, ranked = int(order.place[row]), order.rows[: len(self.explored.ranked.rows)]
        beside = ranked[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS + 1].tolist() if place < len(ranked) else []
        around = [one for one in beside if one != row]
        found = self._finder.rows(query, choice)
        at = np.flatnonzero(found == row)
        if not len(at):
            return around, {"at": None, "total": len(found)}
        here = int(at[0])
        before = int(found[here - 1]) if here else None
        after = int(found[here + 1]) if here + 1 < len(found) else None
        return around, {"at": here, "total": len(found), "before": before, "after": after}


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _part(shown: Part) -> dict[str, object]:
    return {"pieces": [_piece(asdict(piece)) for piece in shown.pieces], "left_out": shown.left_out}


def _piece(piece: Mapping[str, str]) -> Sequence[str]:
    """[text], or [kind, source, formula]."""
    return [piece["source"]] if piece["kind"] == "text" else [piece["kind"], piece["source"], piece["formula"]]


def _step(step: Step) -> dict[str, object]:
    return {
        "number": step.number,
        "text": _part(step.text),
        "tokens": step.tokens,
        "repeats": step.repeats,
        "loops": step.loops,
    }
