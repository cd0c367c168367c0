"""Scoring by Ray: the same scores as here, whatever dies, is refused or is there already."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from select2reason import building, pipeline, questions
from select2reason.asking import question_spec
from select2reason.backends import BackendSettings
from select2reason.cli.options import Machines
from select2reason.contamination import load_prints
from select2reason.difficulty.builtin import builtin_spec
from select2reason.difficulty.judge import JudgePrompt, judge_spec
from select2reason.errors import RunError, UsageError
from select2reason.pool import Pool
from select2reason.questions import Questions
from select2reason.scoring import RaySettings, ScorerSpec, read_scores, score
from select2reason.scoring.base import missing_shards, shard_path
from select2reason.scoring.by_ray.cluster import connect
from select2reason.scoring.by_ray.storage import Storage
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.trace import measure_spec
from select2reason.verification import answers_spec

from ..conftest import WriteRows

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
RAY = RaySettings()
CPUS, GPUS = 2, 2  # as Ray is told: one worker of two cores, or two with a GPU each


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """One Ray for all tests of this file."""
    ray = pytest.importorskip("ray.data", reason="needs ray") and __import__("ray")
    # workers are nice, so that whatever else runs on the machine would hold the tests up
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"})
    ray.init(
        "local",
        num_cpus=CPUS,
        num_gpus=GPUS,
        include_dashboard=False,
        object_store_memory=128 << 20,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


class Numbers:
    """Scores a question by its number, in the sight of `folder`; `fault` says what happens at number 9."""

    def __init__(self, folder: Path, fault: str) -> None:
        self.folder, self.fault = folder, fault

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        number = batch["question"].str.slice(1).cast(pl.Int64)
        if (number == 9).any() and self.fault:
            self.go_wrong()
        (self.folder / f"{number[0]}-{os.getpid()}").touch()
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
        return pl.DataFrame({"number": number, "gpus": [gpus] * batch.height})

    def go_wrong(self) -> None:
        killed = self.folder / "killed"
        if self.fault == "always" or (self.fault == "once" and not killed.exists()):
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "refuses":
            raise UsageError("the model is not there; name another")
        if self.fault == "disk":
            raise OSError(28, "No space left on device", "/scores")
        if self.fault == "defect":
            raise ZeroDivisionError("a defect")

    def close(self) -> None:
        """Nothing."""


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    (tmp_path / "seen").mkdir()
    return tmp_path / "seen"


def numbers(seen: Path, fault: str = "") -> ScorerSpec:
    outputs = {"number": pl.Int64, "gpus": pl.String}
    return ScorerSpec("numbers", "v1", ("question",), outputs, partial(Numbers, seen, fault))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Questions:
    """20 questions in 7 shards."""
    monkeypatch.setattr(questions, "SHARD_QUESTIONS", 3)
    return questions.of_column(pl.Series([f"q{n}" for n in range(20)]), tmp_path / "cache")


def found(pool: Pool, seen: Path) -> list[int]:
    return read_scores(pool, numbers(seen))["number"].to_list()


# --- what comes out -------------------------------------------------------------------------------------------------


def test_the_same_selection_byte_for_byte(
    ray: None, tmp_path: Path, write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_SHARD_ROWS", 20)
    monkeypatch.setattr(building, "_BATCH_ROWS", 7)
    rows = [
        {
            "problem": f"What is {n} plus {n * n}?",
            "answer": str(n + n * n),
            "hardness": n % 7,
            "solution": f"<think>\n{'Let us add. Wait.' * (n % 9)}{n}\n</think>\n\nIt is \\boxed{{{n + n * n}}}.",
        }
        for n in range(65)
    ]
    pool, scores = write_rows(rows), ScoreSettings(difficulty="column:hardness")
    for name, engine in {"here": None, "ray": RAY}.items():
        settings = PoolSettings((str(pool),), cache_dir=tmp_path / name, ray=engine)
        pipeline.select(settings, scores, SelectSettings(), tmp_path / f"out-{name}", command="select")
    here, there = contents(tmp_path / "out-here"), contents(tmp_path / "out-ray")
    assert here == there
    shards = contents(tmp_path / "here" / "pools")
    assert shards == contents(tmp_path / "ray" / "pools")
    assert sum("/scores/" in name for name in shards) == 4 * 4  # with the verdicts


def contents(folder: Path) -> dict[str, str]:
    """Digests of all files, by their paths."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_model_of_several_gpus_has_them_all(ray: None, asked: Questions, seen: Path) -> None:
    score(asked.pool, replace(numbers(seen), gpus=partial(int, 2)), ray=RAY)
    assert set(read_scores(asked.pool, numbers(seen))["gpus"]) == {"0,1"}


def test_a_server_is_asked_from_here(asked: Questions, seen: Path) -> None:
    score(asked.pool, replace(numbers(seen), served=True), ray=RAY)
    assert {path.name.partition("-")[2] for path in seen.iterdir()} == {str(os.getpid())}


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_costs_its_shard_alone(ray: None, asked: Questions, seen: Path) -> None:
    told: list[int] = []
    score(asked.pool, numbers(seen, "once"), ray=RAY, progress=told.append)
    assert (seen / "killed").exists()
    assert found(asked.pool, seen) == list(range(20))
    assert sorted(told) == [2, 3, 3, 3, 3, 3, 3]
    assert len([path for path in seen.iterdir() if path.name != "killed"]) == 7  # no shard was scored twice
    assert str(os.getpid()) not in {path.name.partition("-")[2] for path in seen.iterdir()}


class Elsewhere:
    """Cannot be opened on another machine."""

    def __reduce__(self) -> tuple[object, ...]:
        return refuse, ()

    def __call__(self) -> Numbers:
        raise AssertionError("made where it was named")


def refuse() -> None:
    raise UsageError("the tokenizer is another one there; give one that all machines share")


def test_what_cannot_be_opened_on_a_worker_is_told_in_its_own_line(ray: None, asked: Questions, seen: Path) -> None:
    with pytest.raises(UsageError, match=r"^the tokenizer is another one there; give one that all machines share$"):
        score(asked.pool, replace(numbers(seen), make=Elsewhere()), ray=RAY)


def test_a_shard_that_kills_every_worker_ends_the_run(
    ray: None, asked: Questions, seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("select2reason.scoring.by_ray.dealing._TRIES", 2)
    with pytest.raises(RunError, match=r"2 workers died over shard 3 of numbers.*run the same command again"):
        score(asked.pool, numbers(seen, "always"), ray=RAY)


def test_a_full_disk_is_one_line(ray: None, asked: Questions, seen: Path) -> None:
    with pytest.raises(RunError) as error:
        score(asked.pool, numbers(seen, "disk"), ray=RAY)
    assert str(error.value) == f"No space left on device on {os.uname().nodename}: /scores"
    assert 3 in missing_shards(asked.pool, numbers(seen))


def test_a_defect_is_shown_as_it_is(ray: None, asked: Questions, seen: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a defect"):
        score(asked.pool, numbers(seen, "defect"), ray=RAY)


def test_only_what_is_missing_is_scored(ray: None, asked: Questions, seen: Path) -> None:
    with pytest.raises(UsageError) as error:
        score(asked.pool, numbers(seen, "refuses"), ray=RAY)
    assert str(error.value) == "the model is not there; name another"
    done = 7 - len(missing_shards(asked.pool, numbers(seen)))
    for path in seen.iterdir():
        path.unlink()
    score(asked.pool, numbers(seen), ray=RAY)
    assert len(list(seen.iterdir())) == 7 - done
    assert found(asked.pool, seen) == list(range(20))


def test_a_folder_that_workers_do_not_see(ray: None, asked: Questions, seen: Path) -> None:
    (asked.pool.root / "text-00000.arrow").unlink()
    with pytest.raises(UsageError, match=r"does not see .*--ray-storage s3://bucket/prefix"):
        score(asked.pool, numbers(seen), ray=RAY)


def test_without_ray(asked: Questions, seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'select2reason\[ray\]'"):
        score(asked.pool, numbers(seen), ray=RAY)


# --- a storage ------------------------------------------------------------------------------------------------------


def test_a_storage(ray: None, asked: Questions, seen: Path, tmp_path: Path) -> None:
    there = RaySettings(storage=f"file://{tmp_path}/storage")
    told: list[int] = []
    score(asked.pool, numbers(seen), ray=there, progress=told.append)
    assert found(asked.pool, seen) == list(range(20))
    copied = tmp_path / "storage" / "questions" / asked.pool.root.name
    assert len(list(copied.glob("text-*.arrow"))) == sum(told) - 13 == 7
    assert not list((tmp_path / "storage").rglob("*.part"))

    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    (copied / "text-00006.arrow").write_bytes(b"half")
    scores = numbers(seen).folder(asked.pool.root)
    for shard in (2, 6):  # 2: scored there by a run that ended before it was fetched
        shard_path(scores, shard).unlink()
    shard_path(copied / scores.relative_to(asked.pool.root), 6).unlink()
    for path in seen.iterdir():
        path.unlink()
    score(asked.pool, numbers(seen), ray=there, progress=told.append)
    assert found(asked.pool, seen) == list(range(20))
    assert [path.name.partition("-")[0] for path in seen.iterdir()] == ["18"]
    after = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    assert {path.stem for path in before if before[path] != after[path]} == {"text-00006", "00006"}


def test_a_storage_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage("memory://bucket/prefix")
    assert storage.sizes("pools/key") == {}
    for number, kinds in enumerate([(), ("memory",)]):  # renamed when whole, or there when whole
        monkeypatch.setattr("select2reason.scoring.by_ray.storage._WHOLE", kinds)
        (tmp_path / "file").write_bytes(b"text" * (1 + number))
        storage.put(tmp_path / "file", "pools/key/file")
        assert storage.sizes("pools/key") == {"file": 4 * (1 + number)}
        storage.fetch("pools/key/file", tmp_path / "new" / "file")
        assert (tmp_path / "new" / "file").read_bytes() == b"text" * (1 + number)
    with pytest.raises(RunError, match=r"memory://bucket/prefix cannot be used .*check --ray-storage"):
        storage.fetch("pools/key/other", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["file", "file"]


def test_options_of_ray_are_for_ray() -> None:
    assert Machines().settings() is None
    assert Machines("ray", "auto", "s3://bucket").settings() == RaySettings("auto", "s3://bucket")
    with pytest.raises(UsageError, match="are for --engine ray"):
        Machines(ray_storage="s3://bucket").settings()


def test_a_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs ray")
    monkeypatch.setattr("ray.is_initialized", bool)
    with pytest.raises(UsageError, match=r"Ray cannot be used at 127\.0\.0\.1:1 .*ray start --head"):
        connect("127.0.0.1:1")


def test_a_storage_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="knows no nowhere://"):
        Storage("nowhere://bucket").sizes("pools")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match=r"pip install s3fs$"):
        Storage("s3://bucket").sizes("pools")


def test_a_storage_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file cannot be used .*check --ray-storage"):
        Storage(f"{tmp_path}/file").put(tmp_path / "file", "pools/name")


# --- what is sent ---------------------------------------------------------------------------------------------------


def specs(tmp_path: Path) -> dict[str, ScorerSpec]:
    (tmp_path / "config.json").write_text(json.dumps({}))
    judge = BackendSettings(kind="vllm", model=str(tmp_path))
    return {
        "trace": measure_spec("builtin"),
        "questions": question_spec(load_prints()),
        "questions alone": question_spec(None),
        "answers": answers_spec(),
        "builtin": builtin_spec(),
        "judge": judge_spec(judge, JudgePrompt()),
    }


@pytest.mark.parametrize("name", ["trace", "questions", "questions alone", "answers", "builtin", "judge"])
def test_every_scorer_can_be_sent(tmp_path: Path, name: str) -> None:
    spec = specs(tmp_path)[name]
    sent = pickle.loads(pickle.dumps(spec))
    assert (sent.name, sent.fingerprint, sent.inputs) == (spec.name, spec.fingerprint, spec.inputs)
    if spec.gpus is None:
        texts = {"question": "What is 2 + 2?", "head": "<think>", "trace": "It is 4.", "tail": "</think>4", "gold": "4"}
        batch = pl.DataFrame({column: [texts[column]] for column in spec.inputs})
        assert sent.make().score(batch).equals(spec.make().score(batch))


def test_another_tokenizer_of_that_name_is_refused(tmp_path: Path) -> None:
    import tokenizers

    file = tmp_path / "tokenizer.json"
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a")).save(str(file))
    sent = pickle.dumps(measure_spec(str(file)))
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"b": 0}, unk_token="b")).save(str(file))
    with pytest.raises(UsageError, match="is another one on"):
        pickle.loads(sent)
