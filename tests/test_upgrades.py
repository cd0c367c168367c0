"""What another version of the program wrote, older or newer: read for what it is, made anew, or refused by name.

No silent misreading and no traceback: a refusal names the file, who wrote it, and what to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from select2reason import building, cache, questions, trace
from select2reason import pool as pools
from select2reason.answering import claim
from select2reason.chosen import open_chosen
from select2reason.cli import whole_app
from select2reason.cli.viewing import _recorded
from select2reason.difficulty.reward_folder import read_reward
from select2reason.difficulty.rollout import RATES, rollout_difficulty
from select2reason.difficulty.validation import Baselines
from select2reason.errors import OutputError, RunError, Select2ReasonError, UsageError
from select2reason.evaluation.comparison import PROBLEMS, read_other
from select2reason.evaluation.problems import load_problems
from select2reason.files import file_digest
from select2reason.pipeline import select
from select2reason.road import _read
from select2reason.sampling import Samples
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.training import run as training
from select2reason.training.record import MANIFEST, read_outcome
from select2reason.view import explore

from .conftest import WriteRows

Change = Callable[[dict[str, Any]], object]
NEWER = "is of format 2, by select2reason 9.9; this is .*, which reads format 1; upgrade select2reason, or "


def select_here(pool: Path, out: Path, **chosen: Any) -> Path:
    """As everybody does it, with a cache beside the pool."""
    settings = PoolSettings((str(pool),), cache_dir=pool.parent / "cache")
    select(settings, ScoreSettings(), SelectSettings(rows=4, preset="paper", **chosen), out)
    return out


ROWS = [{"question": f"What is {n} + {n}?", "response": f"It is {n * 2}. " * n} for n in range(1, 9)]


@pytest.fixture
def pool(write_rows: WriteRows) -> Path:
    return write_rows(ROWS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A selection and its cache, made once."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "pool.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in ROWS))
    select_here(folder / "pool.jsonl", folder / "selection")
    return folder


@pytest.fixture
def selection(made: Path, tmp_path: Path) -> Path:
    """A copy of it to change, its cache beside it."""
    for name in ("selection", "cache"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path / "selection"


def changed(file: Path, change: Change) -> None:
    held = orjson.loads(file.read_bytes())
    change(held)
    file.write_bytes(orjson.dumps(held))


def newer(held: dict[str, Any]) -> None:
    """As a version to come would write it."""
    held["format"] = 2
    held["versions"] = {**held.get("versions", {}), "select2reason": "9.9"}


def older(held: dict[str, Any]) -> None:
    """As one that did not say its format."""
    del held["format"]


# --- a selection's folder -------------------------------------------------------------------------------------------


def exported(folder: Path) -> object:
    return open_chosen(folder)


def viewed(folder: Path) -> object:
    return explore(folder, folder.parent / "cache")


@pytest.mark.parametrize("consumer", [exported, viewed])
def test_a_newer_selection_is_refused_by_name(selection: Path, consumer: Callable[[Path], object]) -> None:
    assert consumer(selection)
    changed(selection / "manifest.json", newer)
    with pytest.raises(UsageError, match=rf"selection/manifest.json {NEWER}run the same select again"):
        consumer(selection)


@pytest.mark.parametrize("consumer", [exported, viewed])
def test_one_without_a_format_is_refused_by_name(selection: Path, consumer: Callable[[Path], object]) -> None:
    changed(selection / "manifest.json", older)
    with pytest.raises(UsageError, match=r"manifest.json is of format unknown, by select2reason .*run the same select"):
        consumer(selection)


@pytest.mark.parametrize("consumer", [exported, viewed])
def test_the_first_ones_which_did_not_say_what_they_are_are_read(
    selection: Path, consumer: Callable[[Path], object]
) -> None:
    changed(selection / "manifest.json", lambda held: held.pop("kind"))
    assert consumer(selection)


BROKEN: Mapping[str, Change] = {
    "no parameters": lambda held: held.pop("parameters"),
    "no cutoff": lambda held: held["parameters"].pop("cutoff_len"),
    "a cutoff of text": lambda held: held["parameters"].update(cutoff_len="16k"),
    "a tokenizer of another shape": lambda held: held["parameters"].update(tokenizer={"name": "x"}),
    "outputs as a list": lambda held: held.update(outputs=[1]),
    "selected as a list": lambda held: held.update(selected=[1, 2]),
    "parameters as a list": lambda held: held.update(parameters=[1]),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_manifest_of_another_shape_is_one_line(selection: Path, how: str) -> None:
    changed(selection / "manifest.json", BROKEN[how])
    with pytest.raises(UsageError, match=r"run the same select again|is no selection|`select2reason select` wrote"):
        open_chosen(selection)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"x"', "{", "{}"])
@pytest.mark.parametrize("consumer", [exported, viewed])
def test_what_is_no_manifest_is_one_line(selection: Path, text: str, consumer: Callable[[Path], object]) -> None:
    (selection / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match="is no selection"):
        consumer(selection)


def test_a_score_table_of_other_columns_is_named(selection: Path) -> None:
    file = selection / "scores.parquet"
    pl.read_parquet(file).drop("question_group").write_parquet(file)
    with pytest.raises(RunError, match=r"scores.parquet is damaged .*question_group.*run the same select again"):
        viewed(selection)


def test_a_reason_of_another_version_is_named(selection: Path) -> None:
    file = selection / "scores.parquet"
    pl.read_parquet(file).with_columns(reason=pl.lit("dull")).write_parquet(file)
    with pytest.raises(RunError, match=r"reasons that are not known \('dull'\)"):
        viewed(selection)


def test_a_command_with_options_of_another_version_is_said_not_to_be_understood() -> None:
    recorded = _recorded({"command": "select2reason select p --sparkle 3 --out x", "selected": 1}, None)
    assert recorded.pools == ()
    assert "its command is not understood (No such option: --sparkle" in recorded.why


def test_a_newer_selection_in_a_run_is_refused_by_its_report(selection: Path) -> None:
    from select2reason.results import _json

    assert _json(selection / "manifest.json")["selected"] == 4
    changed(selection / "manifest.json", newer)
    with pytest.raises(UsageError, match=f"{NEWER}choose another --out"):
        _json(selection / "manifest.json")


def test_the_command_tells_it_in_one_line(selection: Path, tmp_path: Path) -> None:
    changed(selection / "manifest.json", newer)
    done = CliRunner().invoke(whole_app(), ["export", str(selection), "--to", "sharegpt", "--out", str(tmp_path / "x")])
    assert isinstance(done.exception, UsageError)
    assert "\n" not in str(done.exception)


# --- the cache ------------------------------------------------------------------------------------------------------


def test_an_older_pool_is_built_again_beside_it(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written by a version of another format, whose shards could mean something else."""
    with monkeypatch.context() as earlier:
        for module in (building, pools, questions):
            earlier.setattr(module, "FORMAT", 0)
        first = select_here(pool, tmp_path / "first")
    second = select_here(pool, tmp_path / "second")
    formats = [orjson.loads(file.read_bytes())["format"] for file in (pool.parent / "cache").glob("pools/*/pool.json")]
    assert sorted(formats) == [0, pools.FORMAT]
    assert pl.read_parquet(first / "scores.parquet").equals(pl.read_parquet(second / "scores.parquet"))
    with pytest.raises(RunError, match=r"is of another version; clear it with: select2reason cache --clear"):
        viewed(first)


def test_scores_of_another_version_are_made_again(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(trace, "VERSION", trace.VERSION - 1)
        select_here(pool, tmp_path / "first")
    before = {path.name for path in (pool.parent / "cache").glob("pools/*/scores/*")}
    select_here(pool, tmp_path / "second")
    new = {path.name for path in (pool.parent / "cache").glob("pools/*/scores/*")} - before
    assert [name.partition("-")[0] for name in new] == ["lengths"]


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.drop(frame.columns[0]),
        lambda frame: frame.with_columns(pl.col(frame.columns[0]).cast(pl.String)),
        lambda frame: frame.head(3),
    ],
    ids=["a column less", "another type", "rows less"],
)
def test_a_score_shard_of_another_shape_is_refused_by_name(
    pool: Path, tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    select_here(pool, tmp_path / "first")
    for shard in (pool.parent / "cache").glob("pools/*/scores/*/*.parquet"):
        change(pl.read_parquet(shard)).write_parquet(shard)
    with pytest.raises(RunError, match=r"scores/.*(is damaged|does not fit the pool).*select2reason cache --clear"):
        select_here(pool, tmp_path / "second")


@pytest.mark.parametrize("text", ["[]", "3", '{"a": 1}', "{", ""])
def test_a_pool_s_note_of_another_shape_is_refused_by_name(pool: Path, tmp_path: Path, text: str) -> None:
    select_here(pool, tmp_path / "first")
    next((pool.parent / "cache").glob("pools/*/pool.json")).write_text(text)
    with pytest.raises(RunError, match=r"pools/\w{16} is damaged .*select2reason cache --clear"):
        select_here(pool, tmp_path / "second")


@pytest.mark.parametrize("value", ["null", "[]", '{"MARK": {"sha512": "x"}}', '{"MARK": 3}', '{"MARK": "short"}'])
def test_a_book_of_digests_of_another_shape_is_written_anew(tmp_path: Path, value: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("one")
    expected = cache.content_digests(tmp_path, [file])
    (mark,) = orjson.loads((tmp_path / "files.json").read_bytes())
    (tmp_path / "files.json").write_text(value.replace("MARK", mark))
    assert cache.content_digests(tmp_path, [file]) == expected == [file_digest(file)]


@pytest.mark.parametrize("held", [b"", b"no numbers", None])
def test_notes_of_questions_of_another_shape_are_made_anew(pool: Path, tmp_path: Path, held: bytes | None) -> None:
    root = tmp_path / "cache2"
    select(PoolSettings((str(pool),), cache_dir=root), ScoreSettings(), SelectSettings(rows=4), tmp_path / "first")
    folder = next(root.glob("pools/*"))
    opened = pools.Pool.open(folder, [str(pool)])
    expected = questions.of_pool(opened, root).of_row
    note = next(folder.glob("question-of-row-*.npy"))
    if held is None:
        np.save(note, np.zeros(3))
    else:
        note.write_bytes(held)
    assert questions.of_pool(opened, root).of_row.tolist() == expected.tolist()


# --- reward models, rollouts, evaluations ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held.update(format=2),
        older,
        lambda held: held.update(kind="forest"),
        lambda held: held.update(files=["a"]),
        lambda held: held.pop("base"),
    ],
    ids=["newer", "no format", "another kind", "files of another shape", "a key less"],
)
def test_a_reward_model_of_another_version_is_refused_by_name(tmp_path: Path, change: Change) -> None:
    baselines = {field.name: 0.5 for field in fields(Baselines)}
    keys: dict[str, Any] = {"base": "mix", "baselines": baselines, "train": 9, "valid": 1}
    (tmp_path / "reward.json").write_bytes(orjson.dumps({"format": 1, "kind": "ngram", "files": {}, **keys}))
    assert read_reward(tmp_path).about["kind"] == "ngram"
    changed(tmp_path / "reward.json", change)
    with pytest.raises(UsageError, match=r"reward.json is of another version; fit it again with"):
        read_reward(tmp_path)


def test_rollouts_of_another_version_are_refused_by_name(tmp_path: Path) -> None:
    pl.DataFrame({"question": ["q"], "pass_rate": [0.5]}).write_parquet(tmp_path / RATES)
    with pytest.raises(UsageError, match=r"pass_rates.parquet has no column difficulty, so another version .*again"):
        rollout_difficulty(tmp_path, pl.Series(["q"]))


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (
            {"engine": ["openai", "m"], "seed": 0, "min_p": 0.1},
            r"by another version of select2reason \(it says min_p\)",
        ),
        ({"engine": ["openai"], "seed": 0}, "drawn with another model or engine"),
        ({"engine": "m"}, "drawn with another engine .*, seed"),
        ([], "is damaged"),
    ],
)
def test_answers_of_another_version_are_not_mixed_with_ours(tmp_path: Path, held: object, said: str) -> None:
    note = tmp_path / "out" / "rollout.json"
    note.parent.mkdir()
    note.write_bytes(orjson.dumps(held))
    with pytest.raises(OutputError, match=said) as error:
        claim(note, {"engine": ["openai", "m"], "seed": 0}, holds_answers=True)
    assert "choose another --out" in str(error.value)


def test_a_kept_answer_of_another_shape_is_named(tmp_path: Path) -> None:
    for line in ('{"key": "k", "sample": 0}', '{"prompt": "x", "outputs": []}', "[]"):
        (tmp_path / "samples.jsonl").write_text(line + "\n")
        with pytest.raises(RunError, match=r"samples.jsonl holds a line that is no completion .*move it away"):
            Samples(tmp_path / "samples.jsonl")


def _kept_problems(file: Path, **about: Any) -> None:
    sampling = {"n": 1, "temperature": 0.0, "top_p": 1.0, "max_tokens": 9, "seed": 0}
    benchmark = {"name": "b", "title": "b", "form": "open", "problems": None}
    head = {"benchmark": benchmark, "source": "s", "rows": 1, "sampling": sampling, "system": "", "model": "m"}
    head = {
        name: {**value, **about.get(name, {})} if isinstance(value, dict) else value for name, value in head.items()
    }
    line = {"row": 0, "key": "k", "question": "q", "gold": "1", "options": [], **about.get("problem", {})}
    file.write_bytes(orjson.dumps(head) + b"\n" + orjson.dumps(line) + b"\n")


def test_kept_problems_of_another_version_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "problems.jsonl"
    _kept_problems(file)
    assert load_problems(file)[0].problems[0].gold == "1"
    others: list[dict[str, Any]] = [
        {"sampling": {"min_p": 0.1}},
        {"benchmark": {"form": "proof"}},
        {"problem": {"images": []}},
    ]
    for about in others:
        _kept_problems(file, **about)
        with pytest.raises(RunError, match=r"problems.jsonl is damaged, or by another version .*move it away"):
            load_problems(file)


def test_an_older_evaluation_to_compare_with_is_refused_by_name(tmp_path: Path) -> None:
    pl.DataFrame({"benchmark": ["b"], "key": ["k"], "pass_at_1": [1.0]}).write_parquet(tmp_path / PROBLEMS)
    with pytest.raises(UsageError, match=r"it has no cut_off, .*make it anew with --from-samples"):
        read_other(tmp_path, tmp_path / "ours")


# --- trainings and runs ---------------------------------------------------------------------------------------------


def test_a_training_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    figures = {"examples": 1, "tokens": {"seen": 1}, "steps": 1, "time_s": 1.0, "first_loss": 1.0, "last_loss": 1.0}
    whole = {"format": 1, "versions": {"select2reason": "0.1.0"}, **figures, "notes": []}
    (tmp_path / MANIFEST).write_bytes(orjson.dumps(whole))
    assert read_outcome(tmp_path, again=True).steps == 1
    changed(tmp_path / MANIFEST, newer)
    with pytest.raises(UsageError, match=f"{NEWER}choose another --out"):
        read_outcome(tmp_path, again=True)
    shapes: list[Any] = [{"format": 1}, [], {**whole, "tokens": 3}]
    for broken in shapes:
        (tmp_path / MANIFEST).write_bytes(orjson.dumps(broken))
        with pytest.raises(OutputError, match=r"manifest.json is damaged .*choose another --out"):
            read_outcome(tmp_path, again=True)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b'{"seed": 42, "dropout": 0.1}', r"by another version of select2reason \(its settings have dropout\)"),
        (b"{}", r"another --seed \(None, not 42\)"),
        (b"[]", "settings.json is damaged"),
        (b"{", "settings.json is damaged"),
    ],
)
def test_a_checkpoint_of_another_version_is_not_gone_on_from(tmp_path: Path, held: bytes, said: str) -> None:
    checkpoint = tmp_path / "checkpoints" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / "whole").touch()
    (tmp_path / "work").mkdir()
    note = tmp_path / "work" / "settings.json"
    note.write_bytes(held)
    with pytest.raises(OutputError, match=said) as error:
        training._same(note, {"seed": 42}, tmp_path)
    assert "choose another --out" in str(error.value)
    assert note.read_bytes() == held


def test_a_run_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    for held in ({"done": {"select main": ["select", "p"]}}, {"format": 1, "done": {"select main": ["select", "p"]}}):
        file.write_bytes(orjson.dumps(held))  # the first ones did not say their format
        assert _read(tmp_path) == {"select main": ["select", "p"]}
    file.write_bytes(orjson.dumps({"format": 2, "stages": []}))
    with pytest.raises(UsageError, match=r"run.json is of format 2; this is .*, which reads format 1; upgrade"):
        _read(tmp_path)
    for text in ("[]", "{}", "null", "{", '{"done": []}', '{"done": {"a": 3}}'):
        file.write_text(text)
        with pytest.raises(Select2ReasonError, match=r"run.json is damaged; remove it, or choose another --out"):
            _read(tmp_path)


def test_every_note_that_is_written_says_its_format(selection: Path) -> None:
    """What a later version needs to tell ours from its own."""
    assert orjson.loads((selection / "manifest.json").read_bytes())["format"] == 1
    pool = next((selection.parent / "cache").glob("pools/*/pool.json"))
    assert orjson.loads(pool.read_bytes())["format"] == pools.FORMAT
