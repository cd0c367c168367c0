r"""The problems of a benchmark, read from files under `--data`, from the Hub, or from any table of questions.

A problem is what the model is asked and what it should answer: options are laid out as letters, and a sentence says how
such an answer is to be given. A gold answer that is no single answer (an object of several parts) is null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import get_args

import orjson
import polars as pl

from select2reason import hub
from select2reason.backends.base import Sampling
from select2reason.benchmarks import BENCHMARKS, OPTIONS, Benchmark, Form
from select2reason.cache import key_of
from select2reason.errors import PoolError, RunError, UsageError
from select2reason.files import write_whole
from select2reason.frames import as_text, texts
from select2reason.progress import say
from select2reason.sampling import Asked, asked
from select2reason.sources import find_files, kind_of
from select2reason.tables import read_frame, read_table

LETTERS = "ABCDEFGHIJK"  # what the grader reads as choices
_HOW = {
    "choice": r"Put nothing but the letter of the right option into \boxed{}.",
    "roles": r"Put the answer into \boxed{} as a list, for example: Ann is a knight, Bob is a knave.",
}
_HOW_ZH = r"请只把正确选项的字母写在 \boxed{} 中。"


@dataclass(frozen=True, slots=True)
class Problem:
    """`row` is its place in its file, from 0; `key` names what is asked and its gold answer, for comparisons."""

    row: int
    key: str
    question: str
    gold: str | None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asking:
    """How a benchmark's problems are put to a model; `model` is who is asked."""

    sampling: Sampling
    system: str
    model: str

    def asked(self, problem: Problem) -> Asked:
        """The problem as a chat."""
        return asked(problem.question, self.system)


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """A benchmark's problems, or the first of them; `source` is where they came from, as it was named."""

    benchmark: Benchmark
    source: str
    problems: Sequence[Problem]
    rows: int


def read_problems(
    name: str | Path,
    *,
    data: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> ProblemSet:
    """The problems of a benchmark by name, or of a table of questions by its file, folder or Hub id.

    `data` is the folder where the benchmarks' files are, or one file. Raises UsageError or PoolError where there is no
    such benchmark, file or column, or no problem has a gold answer.
    """
    name = str(name)
    benchmark = built_in = known(name)
    if benchmark is None:
        benchmark, source, rows = _own_table(name, dict(columns or {}))
    elif columns:
        raise UsageError(f"--columns is for tables of your own; the columns of {name} are known")
    else:
        source, rows = _known(benchmark, None if data is None else str(data))
    if not rows["gold"].count():
        fix = "" if built_in else "; name its column: --columns gold=COLUMN"
        raise UsageError(f"{source}: no problem has a gold answer to grade by{fix}")
    return ProblemSet(benchmark, source, list(_problems(benchmark.form, rows, limit)), rows.height)


def known(name: str) -> Benchmark | None:
    """The benchmark of this name, in any case, or by the name of its file; None where there is none."""
    lower = name.lower()
    return BENCHMARKS.get(lower) or next((one for one in BENCHMARKS.values() if lower in one.files), None)


# --- where they are -------------------------------------------------------------------------------------------------


def _known(benchmark: Benchmark, data: str | None) -> tuple[str, pl.DataFrame]:
    """Where a benchmark was found, and its rows: `question`, `gold`, `options`."""
    if data is not None:
        source = _below(Path(data).expanduser(), benchmark)
        frame = read_frame([source], split="test" if Path(source).is_dir() else None)
    elif benchmark.hub is not None:
        source = benchmark.hub.name
        try:
            found = hub.fetch_dataset(source, config=benchmark.hub.config, split=benchmark.hub.split, revision=None)
        except PoolError as error:
            told = f"or give the folder of {benchmark.name}.jsonl with --data"
            raise PoolError(f"{error}; {told}") from error
        frame = read_frame([str(file.path) for file in found])
    else:
        raise UsageError(
            f"{benchmark.name} has no copy on the Hub: give the folder of its file, {benchmark.name}.jsonl, with --data"
        )
    question = _first(frame, benchmark.question, f"{source} ({benchmark.name})")
    golds = [frame[name] for name in benchmark.gold if name in frame.columns]
    if not golds:
        raise PoolError(f"{source} has none of the columns {', '.join(benchmark.gold)} with {benchmark.name}'s answers")
    return source, _rows(texts(frame[question]), golds, frame)


def _below(data: Path, benchmark: Benchmark) -> str:
    """The benchmark's file or folder: NAME.jsonl, NAME.parquet ... or NAME/ under `data`, or `data` itself, a file."""
    if data.is_file():
        return str(data)
    if not data.is_dir():
        raise UsageError(f"--data {data}: no such file or folder")
    for stem in (benchmark.name, *benchmark.files):
        for path in sorted(data.iterdir()):
            if path.name == stem or (kind_of(path) and path.name.partition(".")[0] == stem):
                return str(path)
    raise UsageError(f"--data {data} holds no {benchmark.name}: name its file {benchmark.name}.jsonl or .parquet")


def _first(frame: pl.DataFrame, names: Sequence[str], where: str) -> str:
    for name in names:
        if name in frame.columns:
            return name
    raise PoolError(f"{where} has none of the columns {', '.join(names)}; it has {', '.join(frame.columns[:20])}")


def _own_table(name: str, columns: dict[str, str]) -> tuple[Benchmark, str, pl.DataFrame]:
    if not hub.is_hub_id(name):
        try:
            find_files(name)
        except PoolError as error:
            close = get_close_matches(name.lower(), BENCHMARKS, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise UsageError(f"{error}; benchmarks are {', '.join(BENCHMARKS)}{meant}, or a table") from error
    options = columns.pop("options", None)
    table = read_table([name], columns=columns)
    if options is not None and options not in table.frame.columns:
        raise UsageError(f"{name} has no column {options} for options; it has {', '.join(table.frame.columns[:20])}")
    gold = table.gold if table.gold_column is None else table.frame[table.gold_column]
    rows = _rows(table.question, [gold], table.frame, options)
    say(f"options: {rows['options'].count():,} of {rows.height:,} rows have some")
    if not rows["options"].count() and rows["gold"].drop_nulls().str.contains(r"^[A-K]$").all():
        say(
            "note: all gold answers are letters, but no options were found; name their column: --columns options=COLUMN"
        )
    stem = re.sub(r"(?:\.(?:jsonl?|ndjson|parquet|arrow|gz|zst))+$", "", Path(name).name)
    own = re.sub(r"[^\w-]+", "_", stem).strip("_") or "table"
    return Benchmark(own, own, form="choice" if rows["options"].count() else "open"), name, rows


def _rows(
    question: pl.Series, golds: Sequence[pl.Series], frame: pl.DataFrame, named: str | None = None
) -> pl.DataFrame:
    """`question`, `gold`, `options`: the first gold answer of each row that is not blank, choices as letters."""
    options = next(
        (
            frame[name]
            for name in ((named,) if named else OPTIONS)
            if name in frame.columns and frame[name].dtype.is_nested()
        ),
        None,
    )
    listed = [] if options is None else [_options(value, row) for row, value in enumerate(options)]
    answers = [
        next((one for one in map(_gold, values) if one is not None), None) for values in zip(*golds, strict=True)
    ]
    letters = answers
    if options is not None and any(listed):
        letters = as_letters(answers, listed, [_labels(value) for value in options])
    lost = [row for row, (one, letter) in enumerate(zip(answers, letters, strict=True)) if one and letter is None]
    if lost:
        first = f"row {lost[0]}: {answers[lost[0]]!r:.80}"
        say(f"note: {len(lost):,} gold answers are none of their row's options and cannot be graded by ({first})")
    return pl.DataFrame(
        {
            "question": question,
            "gold": letters,
            "options": listed or [None] * frame.height,
        },
        schema={"question": pl.String, "gold": pl.String, "options": pl.List(pl.String)},
    )


def _options(value: object, row: int) -> list[str] | None:
    """The texts of the options, in the order of their letters; null where there are none."""
    if isinstance(value, Mapping):
        value = value["text"] if "text" in value else [value[one] for one in sorted(value) if value[one] is not None]
    listed = _list(value)
    if not listed:
        return None
    if len(listed) > len(LETTERS):
        raise PoolError(f"row {row} has {len(listed)} options; at most {len(LETTERS)} can be told by letters")
    options = [(as_text(one) or "").strip() for one in listed]
    labelled = [re.match(rf"\(?{letter}[).．:：、]\s*", text) for letter, text in zip(LETTERS, options, strict=False)]
    if all(labelled):
        return [text[found.end() :] for found, text in zip(labelled, options, strict=True) if found]
    return options


def _labels(value: object) -> list[str]:
    """What the options' own labels are, in their order; none where the column does not say it."""
    held = value.get("label") if isinstance(value, Mapping) and "text" in value else None
    return [(as_text(one) or "").strip() for one in _list(held)]


def _list(value: object) -> list[object]:
    """A list as it is or as a column of its own; empty for all else."""
    listed = value.to_list() if isinstance(value, pl.Series) else value
    return listed if isinstance(listed, list) else []


def as_letters(
    golds: Sequence[str | None], options: Sequence[Sequence[str] | None], labels: Sequence[Sequence[str]]
) -> list[str | None]:
    """Gold answers of choices as letters, whether they were letters, the options' own labels or texts, or their numbers
    from 0 or 1; null for one that is none of these. What one reading makes of all of a table is what it means; where
    none fits all, each is read by itself."""
    asked = list(zip(golds, options, labels, strict=True))
    of_choices = [(gold, shown, own) for gold, shown, own in asked if gold is not None and shown]
    numbers = [int(gold) for gold, _, _ in of_choices if re.fullmatch(r"\d{1,3}", gold)]
    most = max((len(shown) for _, shown, _ in of_choices), default=0)
    by_number = partial(_letters_of_numbers, first=int(0 not in numbers and most in numbers))
    readings = (_letter_of_label, _letter_of_text, by_number, _letters, _letter_of_like_text)
    whole = next((read for read in readings if all(read(*one) for one in of_choices)), None)

    def letters(gold: str | None, shown: Sequence[str] | None, own: Sequence[str]) -> str | None:
        if gold is None or not shown:
            return gold
        return next((found for read in ([whole] if whole else readings) if (found := read(gold, shown, own))), None)

    return [letters(*one) for one in asked]


def _letter_of_label(gold: str, shown: Sequence[str], labels: Sequence[str]) -> str | None:
    return LETTERS[labels.index(gold)] if gold in labels[: len(shown)] else None


def _letter_of_text(gold: str, shown: Sequence[str], labels: Sequence[str]) -> str | None:
    return LETTERS[shown.index(gold)] if gold in shown else None


def _letters_of_numbers(gold: str, shown: Sequence[str], labels: Sequence[str], *, first: int) -> str | None:
    numbers = (
        [int(number) - first for number in gold.split(", ")] if re.fullmatch(r"\d{1,3}(?:, \d{1,3})*", gold) else []
    )
    return "".join(LETTERS[n] for n in numbers) if all(0 <= n < len(shown) for n in numbers) else None


def _letters(gold: str, shown: Sequence[str], labels: Sequence[str]) -> str | None:
    """As it stands, where it is letters of options, or one with its text: "B", "(b)", "A, C", "ACD", "B. Rome"."""
    named = re.match(r"\(?([A-K])[).．:：、]\s*\S", gold) or re.fullmatch(
        r"\W*([A-Ka-k]|[A-K]+(?:\W+(?:and\W+)?[A-K]+)*)\W*", gold
    )
    own = set(re.findall(r"[A-K]", named[1].upper())) if named else set()
    return gold if own and own <= set(LETTERS[: len(shown)]) else None


def _letter_of_like_text(gold: str, shown: Sequence[str], labels: Sequence[str]) -> str | None:
    """The one option whose text is the same but for case, a full stop and dollar signs."""
    alike = [at for at, text in enumerate(shown) if _plain(text) == _plain(gold)]
    return LETTERS[alike[0]] if len(alike) == 1 else None


def _plain(text: str) -> str:
    return " ".join(text.replace("$", "").casefold().split()).rstrip(".。")


def _gold(value: object) -> str | None:
    """One answer as a text: the parts of a list joined, objects and blanks null."""
    values = value.to_list() if isinstance(value, pl.Series) else [value]
    parts: list[str | None] = [as_text(one) for one in values if one is not None]
    joined = ", ".join(part.strip() for part in parts if part and part.strip())
    return None if not joined or _is_object(joined) else joined


def _is_object(text: str) -> bool:
    try:
        return text.startswith('{"') and isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


# --- how they are asked ---------------------------------------------------------------------------------------------


def _problems(form: Form, rows: pl.DataFrame, limit: int | None) -> Iterator[Problem]:
    for row, (question, gold, options) in enumerate(rows.head(limit or rows.height).iter_rows()):
        if not (question or "").strip():
            raise PoolError(f"row {row} asks nothing; mend it, or leave it out")
        asked = _asked(question.strip(), options or [], form)
        yield Problem(row, key_of(asked, gold), asked, gold, tuple(options or ()))


def _asked(question: str, options: Sequence[str], form: Form) -> str:
    laid_out = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    chinese = form == "choice" and re.search(r"[\u4e00-\u9fff]", question + laid_out)
    how = _HOW_ZH if chinese else _HOW.get(form, "")
    return "\n\n".join(part for part in (question, "" if _shown(question, options) else laid_out, how) if part)


def _shown(question: str, options: Sequence[str]) -> bool:
    """Whether the question lays its options out itself, each behind its letter."""
    at = 0
    for letter, option in zip(LETTERS, options, strict=False):
        found = re.compile(rf"\(?{letter}[).．:：、]\s*{re.escape(option)}").search(question, at)
        if found is None:
            return False
        at = found.end()
    return True


# --- kept beside the answers ----------------------------------------------------------------------------------------


def write_problems(found: ProblemSet, asking: Asking, path: Path) -> None:
    """Keep what was asked and how, so that the answers can be graded again from the folder alone."""
    about = {"benchmark": asdict(found.benchmark), "source": found.source, "rows": found.rows} | asdict(asking)
    lines = [about, *map(asdict, found.problems)]
    write_whole(path, b"".join(orjson.dumps(line) + b"\n" for line in lines))


def load_problems(path: Path) -> tuple[ProblemSet, Asking]:
    """What `write_problems` kept. Raises RunError where the file is damaged."""
    try:
        about, *lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        problems = [Problem(**(line | {"options": tuple(line["options"])})) for line in lines]
        benchmark = Benchmark(**{name: about["benchmark"][name] for name in ("name", "title", "form", "problems")})
        asking = Asking(Sampling(**about["sampling"]), about["system"], about["model"])
        if benchmark.form not in get_args(Form):
            raise ValueError(f"it is not known what a {benchmark.form!r} is")
        return ProblemSet(benchmark, about["source"], problems, about["rows"]), asking
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = f"{path} is damaged, or by another version of select2reason ({error})"
        raise RunError(f"{told}; move it away and evaluate again: the answers beside it are kept") from error
