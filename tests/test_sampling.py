"""Kept completions: nothing drawn twice, torn lines, larger limits, and the order of questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import pytest

from select2reason.backends.base import Completion, Done, LabelLogprobs, Messages, Sampling
from select2reason.errors import OutputError, RunError
from select2reason.sampling import PAPER_SYSTEM, Samples, asked, draw

QUESTIONS = [asked(f"q{n}") for n in range(5)]
HOW = Sampling(n=3, temperature=1.0, max_tokens=10)


@dataclass
class Counting:
    """A backend whose answers are numbered as they are drawn; those of q1 are cut off below 50 tokens."""

    drawn: list[tuple[str, int, int]] = field(default_factory=list)
    fails_after: int = 1000

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, *, done: Done | None = None
    ) -> list[list[Completion]]:
        answers = []
        for prompt in prompts:
            if len(self.drawn) >= self.fails_after:
                raise RunError("the server is gone")
            name = prompt[-1]["content"]
            self.drawn.append((name, sampling.n, sampling.max_tokens))
            cut = name == "q1" and sampling.max_tokens < 50
            text = f"{name} #{len(self.drawn)}"
            answers.append([Completion(f"{text}.{i}", 4, cut) for i in range(sampling.n)])
        return answers

    def label_logprobs(self, prompts: Sequence[Messages], labels: Sequence[str]) -> LabelLogprobs:
        raise AssertionError("not asked for")

    def close(self) -> None:
        """Nothing."""


def texts(path: Path, n: int = 3) -> list[list[str]]:
    with Samples(path) as kept:
        return [[one.text for one in some] for some in kept.of([question.key for question in QUESTIONS], n)]


def test_every_answer_is_kept_and_none_drawn_twice(tmp_path: Path) -> None:
    path, told = tmp_path / "c.jsonl", list[int]()
    with Samples(path) as kept:
        draw(Counting(), QUESTIONS, HOW, kept, group=2, progress=told.append)
    first = texts(path)
    assert [some[0].split()[0] for some in first] == ["q0", "q1", "q2", "q3", "q4"]
    assert [len(set(some)) for some in first] == [3] * 5
    assert sum(told) == 15
    again = Counting()
    with Samples(path) as kept:
        draw(again, QUESTIONS, HOW, kept, group=2)
    assert again.drawn == []
    assert texts(path) == first


def test_more_answers_add_to_those_that_are_there(tmp_path: Path) -> None:
    path, more = tmp_path / "c.jsonl", Counting()
    with Samples(path) as kept:
        draw(Counting(), QUESTIONS, HOW, kept, group=8)
    before = texts(path)
    with Samples(path) as kept:
        draw(more, QUESTIONS, replace(HOW, n=5), kept, group=8)
    assert {count for _, count, _ in more.drawn} == {2}
    assert [some[:3] for some in texts(path, 5)] == before
    assert [len(some) for some in texts(path, 5)] == [5] * 5


def test_a_larger_limit_redoes_only_what_was_cut_off(tmp_path: Path) -> None:
    path, longer, same = tmp_path / "c.jsonl", Counting(), Counting()
    with Samples(path) as kept:
        draw(Counting(), QUESTIONS, HOW, kept, group=8)
        draw(same, QUESTIONS, replace(HOW, max_tokens=8), kept, group=8)
        draw(longer, QUESTIONS, replace(HOW, max_tokens=60), kept, group=8)
    assert same.drawn == []
    assert longer.drawn == [("q1", 3, 60)]
    with Samples(path) as kept:
        assert [one.cut_off for some in kept.of([QUESTIONS[1].key], 3) for one in some] == [False] * 3
    assert path.read_bytes().count(b"\n") == 18  # the cut-off ones are kept as well


def test_a_run_that_breaks_keeps_its_finished_groups(tmp_path: Path) -> None:
    path, rest = tmp_path / "c.jsonl", Counting()
    with Samples(path) as kept, pytest.raises(RunError):
        draw(Counting(fails_after=3), QUESTIONS, HOW, kept, group=2)
    with Samples(path) as kept:
        draw(rest, QUESTIONS, HOW, kept, group=2)
    assert [name for name, _, _ in rest.drawn] == ["q2", "q3", "q4"]


@pytest.mark.parametrize("torn", [b'{"key": "a', b"{", b'{"key":"k","sample":0,"cut_off":false,"max_tokens":1}'])
def test_a_torn_last_line_is_cut_away(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "c.jsonl"
    with Samples(path) as kept:
        draw(Counting(), QUESTIONS, HOW, kept, group=8)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert len(texts(path)) == 5
    assert path.read_bytes() == whole


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    with Samples(path), pytest.raises(OutputError, match="being written by another run"):
        Samples(path)
    with Samples(path):
        pass


def test_a_line_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(orjson.dumps({"question": "?"}) + b"\n")
    with pytest.raises(RunError, match="holds a line that is no completion"):
        Samples(path)


def test_the_paper_s_system_turn_comes_first_unless_it_is_empty() -> None:
    assert [turn["role"] for turn in asked("?").prompt] == ["system", "user"]
    assert asked("?").prompt[0]["content"] == PAPER_SYSTEM
    assert [turn["role"] for turn in asked("?", "").prompt] == ["user"]
    assert asked("?").key != asked("?", "").key
