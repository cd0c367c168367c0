"""Evaluation from benchmark files to figures: a real server on loopback, real grading, and every figure by hand."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

pytest.importorskip("openai", reason="needs openai")

from tests.conftest import WriteRows
from tests.loopback import Loopback, Reply, said, serving
from typer.testing import CliRunner

from select2reason.backends import BackendSettings
from select2reason.cli import whole_app
from select2reason.errors import OutputError, UsageError
from select2reason.evaluation import Evaluation, Overrides, evaluate, read_problems, regrade

HALF = (r"\frac{1}{2}", "0.5", "1/2", r"\dfrac12")
CONTEST = [
    {"problem": "halves", "answer": "1/2"},
    {"problem": "easy", "answer": "7"},
    {"problem": "silent", "answer": "9"},
    {"problem": "proof", "answer": "proof"},
]
GREEDY = [{"problem": f"p{n}", "answer": str(n)} for n in range(6)]
OPEN = Overrides(n=16, temperature=0.6, max_tokens=100)


def answering(path: str, body: Mapping[str, Any], number: int) -> Reply:
    """Eleven halves in four writings and five twos; always right; nothing; and what nobody can judge."""
    asked = body["messages"][-1]["content"]
    n = ORDER.setdefault((asked, body["seed"]), sum(key[0] == asked for key in ORDER))
    if asked.startswith("p") and asked[1:].isdigit():
        right = int(asked[1:]) % 2 == 0
        return Reply(said(rf"Wait. Wait, maybe.\n\n\boxed{{{asked[1:] if right else 99}}}"))
    texts = {
        "halves": r"\boxed{2}" if n % 16 < 5 else rf"\boxed{{{HALF[n % 4]}}}",
        "easy": r"However, \boxed{7}",
        "silent": "I do not know.",
        "proof": r"\boxed{yes}",
    }
    return Reply(said(texts[asked], finish="length" if asked == "silent" else "stop"))


ORDER: dict[tuple[str, int], int] = {}  # in which order the seeds of a question came


@pytest.fixture(autouse=True)
def forget() -> None:
    ORDER.clear()


@pytest.fixture
def data(write_rows: WriteRows, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write_rows(CONTEST, "data/aime24.jsonl")
    write_rows(GREEDY, "data/math500.jsonl")
    return folder


def engine(server: Loopback, model: str = "m") -> BackendSettings:
    return BackendSettings("openai", model, base_url=server.url, concurrency=1)


def evaluated(server: Loopback, data: Path, out: Path, *names: str, **options: Any) -> Evaluation:
    found = [read_problems(name, data=str(data)) for name in names or ("aime24", "math500")]
    options.setdefault("overrides", Overrides(max_tokens=100))
    return evaluate(found, out, engine=engine(server), workers=1, **options)


def test_every_figure_by_hand(data: Path, tmp_path: Path) -> None:
    with serving(answering) as server:
        done = evaluated(server, data, tmp_path / "out")
        assert len(server.asked) == 4 * 16 + 6
    contest, greedy = done.benchmarks
    assert (contest.sampling.n, contest.problems, contest.answers, contest.missing) == (16, 4, 64, 0)
    assert contest.pass_at_1.problems == 3  # nobody can judge "proof"
    assert contest.pass_at_1.value == pytest.approx((11 / 16 + 1 + 0) / 3)
    deviations = [11 / 16 - 27 / 48, 1 - 27 / 48, 0 - 27 / 48]
    assert contest.pass_at_1.stderr == pytest.approx(math.sqrt(sum(d * d for d in deviations) / 2 / 3))
    assert contest.majority is not None and contest.majority.value == pytest.approx(2 / 3)  # not the five twos
    assert contest.pass_at_k["2"].value == pytest.approx((1 - 5 * 4 / (16 * 15) + 1 + 0) / 3)
    assert contest.pass_at_k["16"].value == pytest.approx(2 / 3)
    assert list(contest.pass_at_k) == ["2", "4", "8", "16"]
    assert (contest.cut_off, contest.no_answer, contest.ungradable) == (0.25, 0.25, 1)
    assert contest.not_judged == 0
    assert contest.rethinking_tokens.value == pytest.approx(1 / 4)  # "However" in one problem of four
    assert greedy.pass_at_1.value == 0.5
    assert greedy.pass_at_1.stderr == pytest.approx(math.sqrt(0.25 / 5))
    assert greedy.majority is None and greedy.pass_at_k == {}
    assert greedy.rethinking_tokens.value == 3.0
    assert done.average == pytest.approx((27 / 48 + 0.5) / 2)
    assert [note.split(":")[0] for note in done.notes] == ["aime24", "aime24", "aime24", "math500"]
    assert "holds 4 problems, the benchmark has 30" in done.notes[0]


def test_what_is_written(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with serving(answering) as server:
        done = evaluated(server, data, out)
    problems, answers = (pl.read_parquet(out / f"{name}.parquet") for name in ("problems", "answers"))
    assert problems["majority"].to_list()[:4] == [r"\dfrac12", "7", None, "yes"]  # five of eleven
    assert problems["majority_votes"].to_list()[:4] == [11, 16, 0, 16]
    assert problems["majority_correct"].to_list()[:4] == [True, True, False, None]
    assert problems["pass_at_1"].to_list()[:4] == [11 / 16, 1.0, 0.0, None]
    assert answers.height == 70
    assert answers.group_by("benchmark").agg(pl.col("correct").sum()).sort("benchmark")["correct"].to_list() == [27, 3]
    assert len((out / "aime24/samples.jsonl").read_bytes().splitlines()) == 64
    page = (out / "results.md").read_text()
    assert "| aime24    | 3        | 16 | 0.562 (0.295) | 0.667 (0.333) |" in page
    assert "temperature 0.6, top_p 0.95, seed 0, at most 100 tokens" in page
    samples = {
        line["key"]: line for line in map(orjson.loads, (out / "aime24/samples.jsonl").read_bytes().splitlines())
    }
    assert set(answers.filter(pl.col("benchmark") == "aime24")["chat"]) == set(samples)
    assert "pass@2 0.639" in page
    machine = orjson.loads((out / "results.json").read_bytes())
    assert machine["benchmarks"][0]["pass_at_1"]["value"] == done.benchmarks[0].pass_at_1.value


def test_again_nothing_is_asked_and_all_is_the_same(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with serving(answering) as server:
        first = evaluated(server, data, out)
        files = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
        server.asked.clear()
        again = evaluated(server, data, out)
        assert server.asked == []
    assert (first.drawn, again.drawn) == (70, 0)
    assert first.benchmarks == again.benchmarks
    same = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    assert {p for p in files if files[p] != same[p]} == {out / "results.json"}  # it says how many were drawn


def test_regraded_without_a_model(data: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    with serving(answering) as server:
        first = evaluated(server, data, out)
    again = regrade(out, other, workers=1)
    assert again.benchmarks == first.benchmarks
    assert (again.model, again.samples, again.drawn) == ("m", out, 0)
    for name in ("problems.parquet", "answers.parquet", "results.md"):
        assert (other / name).read_bytes() == (out / name).read_bytes()
    assert [one.benchmark for one in regrade(out, other, names=["math500"], workers=1).benchmarks] == ["math500"]
    with pytest.raises(UsageError, match="holds no kaoyan; it holds aime24, math500"):
        regrade(out, other, names=["kaoyan"])
    with pytest.raises(UsageError, match="no samples there"):
        regrade(tmp_path / "data", other)


def test_an_unfinished_evaluation_says_so(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with serving(answering) as server:
        evaluated(server, data, out, "math500")
    samples = out / "math500/samples.jsonl"
    lines = samples.read_bytes().splitlines(keepends=True)
    samples.write_bytes(b"".join(lines[:4]) + lines[4][:20])  # killed in the fifth
    done = regrade(out, tmp_path / "other", workers=1)
    assert (done.benchmarks[0].answers, done.benchmarks[0].missing) == (4, 2)
    assert done.benchmarks[0].pass_at_1.problems == 4
    assert any("2 answers are missing" in note for note in done.notes)
    assert samples.read_bytes().endswith(lines[4][:20])  # a regrade changes nothing there


def test_a_larger_limit_redoes_what_was_cut_off_alone(data: Path, tmp_path: Path) -> None:
    with serving(answering) as server:
        evaluated(server, data, tmp_path / "out", "aime24")
        server.asked.clear()
        done = evaluated(server, data, tmp_path / "out", "aime24", overrides=Overrides(max_tokens=200))
        with pytest.raises(OutputError, match="give --max-tokens 200 or more"):
            evaluated(server, data, tmp_path / "out", "aime24")
    assert (done.drawn, done.benchmarks[0].missing) == (16, 0)
    assert {body["messages"][-1]["content"] for body in server.asked} == {"silent"}


def test_what_a_folder_holds_is_in_its_results(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with serving(answering) as server:
        evaluated(server, data, out, "math500")
        both = evaluated(server, data, out, "aime24")
        assert [one.benchmark for one in both.benchmarks] == ["aime24", "math500"]
        found = [read_problems("math500", data=str(data), limit=2)]
        fewer = evaluate(found, out, engine=engine(server), overrides=Overrides(max_tokens=100), workers=1)
    assert (fewer.benchmarks[0].problems, fewer.benchmarks[0].unused) == (2, 4)
    assert any("4 kept answers are not used" in note for note in fewer.notes)


def test_what_cannot_be_judged_is_counted_and_bounded(data: Path, tmp_path: Path, write_rows: WriteRows) -> None:
    """One sample a problem, and one that no one can judge: left out of pass@1, and not taken for a missing gold."""

    def deriving(path: str, body: Mapping[str, Any], number: int) -> Reply:
        first = body["messages"][-1]["content"] == "a"
        return Reply(said(r"\boxed{x''+2x=1}" if first else r"\boxed{7}"))

    rows = [
        {"problem": "a", "answer": r"\ddot{x}+x=0"},
        {"problem": "b", "answer": "7"},
        {"problem": "c", "answer": "8"},
    ]
    write_rows(rows, "data/math500.jsonl")
    with serving(deriving) as server:
        (score,) = evaluated(server, data, tmp_path / "out", "math500").benchmarks
    assert (score.pass_at_1.value, score.pass_at_1.problems) == (0.5, 2)
    assert (score.not_judged, score.ungradable) == (1, 0)
    assert score.pass_at_1_low == pytest.approx(1 / 3)
    assert score.pass_at_1_high == pytest.approx(2 / 3)
    assert "with the 1 not judged as wrong 0.333, as right 0.667" in (tmp_path / "out/results.md").read_text()


def test_finished_answers_are_kept_when_a_later_one_fails(data: Path, tmp_path: Path) -> None:
    def failing(path: str, body: Mapping[str, Any], number: int) -> Reply:
        if body["messages"][-1]["content"] == "p4":
            return Reply({"error": {"message": "no"}}, status=400)
        return answering(path, body, number)

    with serving(failing) as server, pytest.raises(UsageError, match="the server refused the question"):
        evaluated(server, data, tmp_path / "out", "math500")
    assert len((tmp_path / "out/math500/samples.jsonl").read_bytes().splitlines()) >= 3


def test_answers_of_another_model_or_temperature_are_not_mixed(data: Path, tmp_path: Path) -> None:
    with serving(answering) as server:
        evaluated(server, data, tmp_path / "out", "math500")
        found = [read_problems("aime24", data=str(data))]
        with pytest.raises(OutputError, match=r"drawn with another model \(m, not other\)"):
            evaluate(found, tmp_path / "out", engine=engine(server, "other"))
        with pytest.raises(OutputError, match=r"another temperature \(0.0, not 0.5\)"):
            evaluated(server, data, tmp_path / "out", "math500", overrides=Overrides(temperature=0.5))
        with pytest.raises(UsageError, match="16 greedy answers would all be the same"):
            evaluated(server, data, tmp_path / "new", "aime24", overrides=Overrides(temperature=0.0))
        with pytest.raises(UsageError, match="math500 is named twice"):
            evaluated(server, data, tmp_path / "new", "math500", "math500")


def test_paired_comparison(data: Path, tmp_path: Path, write_rows: WriteRows) -> None:
    def better(path: str, body: Mapping[str, Any], number: int) -> Reply:
        asked = body["messages"][-1]["content"]
        return Reply(said(rf"\boxed{{{asked[1:] if asked != 'p5' else 99}}}"))

    with serving(answering) as server:
        evaluated(server, data, tmp_path / "base", "math500")
    write_rows([*GREEDY[:6], {"problem": "p8", "answer": "8"}], "data/math500.jsonl")
    with serving(better) as server:
        done = evaluated(server, data, tmp_path / "tuned", "math500", against=tmp_path / "base")
    assert done.comparison is not None
    (paired,) = done.comparison.benchmarks
    assert (paired.better, paired.worse, paired.equal) == (2, 0, 4)
    assert paired.pass_at_1.value == pytest.approx(2 / 6)
    assert paired.pass_at_1.problems == 6
    half = 2.5706 * math.sqrt((2 * (2 / 3) ** 2 + 4 * (1 / 3) ** 2) / 5 / 6)  # Student's t with 5 degrees of freedom
    assert paired.pass_at_1.low == pytest.approx(2 / 6 - half, abs=1e-4)
    assert paired.pass_at_1.high == pytest.approx(2 / 6 + half, abs=1e-4)
    assert (paired.only_ours, paired.only_theirs) == (1, 0)
    assert "+0.333 [-0.209, +0.875]" in (tmp_path / "tuned/results.md").read_text()
    with pytest.raises(UsageError, match="give a folder that `select2reason evaluate` wrote"):
        regrade(tmp_path / "tuned", tmp_path / "tuned", against=data)


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command(data: Path, tmp_path: Path) -> None:
    with serving(answering) as server:
        command = ["evaluate", "--benchmarks", "math500", "--data", str(data), "--model", "m", "--base-url", server.url]
        told = CliRunner().invoke(whole_app(), [*command, "--limit", "4", "--out", str(tmp_path / "out")])
        assert told.exit_code == 0, told.output
        assert "the first 4 of 6 problems, not the benchmark" in told.output
        assert str(tmp_path / "out/results.md") in told.output
        for wrong, what in (
            (["--benchmarks", "nope"], "benchmarks are aime24, aime25"),
            (["--from-samples", str(tmp_path / "out")], "--from-samples asks no model"),
        ):
            failed = CliRunner().invoke(whole_app(), [*command, *wrong, "--out", str(tmp_path / "out")])
            assert isinstance(failed.exception, UsageError) and what in str(failed.exception)
        own = ["evaluate", "--benchmarks", str(data / "math500.jsonl"), *command[3:]]
        failed = CliRunner().invoke(whole_app(), [*own, "--out", str(tmp_path / "own")])
        assert "is a table of your own: leave --data out" in str(failed.exception)
    again = ["evaluate", "--from-samples", str(tmp_path / "out"), "--out", str(tmp_path / "again"), "--json"]
    told = CliRunner().invoke(whole_app(), again)
    assert orjson.loads(told.stdout)["benchmarks"][0]["pass_at_1"]["value"] == 0.5


def test_killed_and_resumed_the_samples_and_figures_are_the_same(data: Path, tmp_path: Path) -> None:
    """SIGKILL again and again, at any moment: what was kept stays, and the end is what an undisturbed run comes to."""

    def slowly(path: str, body: Mapping[str, Any], number: int) -> Reply:
        return Reply(said(rf"\boxed{{{body['seed'] % 3}}} {body['seed']}"), wait_s=0.02)

    (data / "aime24.jsonl").write_bytes(
        b"".join(orjson.dumps({"problem": f"q{n}", "answer": "1"}) + b"\n" for n in range(40))
    )

    def started(server: Loopback, out: Path) -> subprocess.Popen[bytes]:
        code = "import sys; from select2reason.cli import main; sys.argv[0] = 'select2reason'; main()"
        options = ["--benchmarks", "aime24", "--data", str(data), "--model", "m", "--base-url", server.url, "-n", "4"]
        command = [sys.executable, "-c", code, "evaluate", *options, "--concurrency", "8", "--out", str(out)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})

    with serving(slowly) as server:
        assert started(server, tmp_path / "whole").wait(120) == 0
        for kills in range(3):
            asked = len(server.asked)
            process = started(server, tmp_path / "killed")
            while process.poll() is None and len(server.asked) < asked + 20 + 25 * kills:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert started(server, tmp_path / "killed").wait(120) == 0
    whole, killed = (pl.read_parquet(tmp_path / f"{name}/answers.parquet") for name in ("whole", "killed"))
    assert killed.equals(whole)
    texts = [
        {(line["key"], line["sample"]): line["text"] for line in map(orjson.loads, (path).read_bytes().splitlines())}
        for path in (tmp_path / "whole/aime24/samples.jsonl", tmp_path / "killed/aime24/samples.jsonl")
    ]
    assert texts[0] == texts[1] and len(texts[0]) == 160
    figures = [orjson.loads((tmp_path / f"{name}/results.json").read_bytes()) for name in ("whole", "killed")]
    assert figures[0]["benchmarks"] == figures[1]["benchmarks"]
