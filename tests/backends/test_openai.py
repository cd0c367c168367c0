"""The OpenAI engine against a real server on loopback: what is exact, what is bounded, and every way to fail."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openai", reason="needs openai")

from tests.loopback import Answer, Loopback, Reply, listed, said, serving

from select2reason.backends import http
from select2reason.backends.base import Messages, Sampling
from select2reason.backends.openai import OpenaiBackend, label_bounds
from select2reason.errors import RunError, UsageError
from select2reason.sampling import Samples, asked, draw

LABELS = ("0", "1")
CHATS: list[Messages] = [[{"role": "user", "content": f"question {n}"}] for n in range(12)]
IDS = {"0": 32, " 0": 216, "1": 33, " 1": 217}
NOT_FOUND = Reply({"error": {"message": "no such path"}}, status=404)


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


@contextmanager
def asking(answer: Answer, **options: Any) -> Iterator[tuple[OpenaiBackend, Loopback]]:
    with serving(answer) as server:
        backend = OpenaiBackend("m", base_url=server.url, **options)
        try:
            yield backend, server
        finally:
            backend.close()


def logs(**shares: float) -> dict[str, float]:
    return {token: math.log(share) for token, share in shares.items()}


def plain(reply: Callable[[Mapping[str, Any], int], Reply]) -> Answer:
    """A server that knows chats alone."""
    return lambda path, body, number: reply(body, number) if path.endswith("/chat/completions") else NOT_FOUND


def by_id(shares: Mapping[int, float]) -> Answer:
    """A server that tells token ids and their probabilities when asked for them, as vLLM does."""

    def answer(path: str, body: Mapping[str, Any], number: int) -> Reply:
        if path == "/tokenize":
            return Reply({"tokens": [IDS.get(body["prompt"], 5)]})
        wanted = {f"token_id:{one}": math.log(shares[one]) for one in body["logprob_token_ids"]}
        return Reply(listed({**wanted, "token_id:9": -0.5}))

    return answer


def test_a_server_that_takes_token_ids_is_exact() -> None:
    with asking(by_id({32: 0.04, 216: 0.01, 33: 0.2, 217: 0.1})) as (backend, server):
        found = backend.label_logprobs(CHATS, LABELS)
    assert np.exp(found.low) == pytest.approx(np.tile([0.05, 0.3], (12, 1)))
    assert np.array_equal(found.low, found.high)
    assert len(server.asked) == 13  # one to find out how
    assert all(body["max_tokens"] == 1 and body["repetition_penalty"] == 1.0 for body in server.asked)


def test_a_list_of_likely_tokens_gives_bounds() -> None:
    top = logs(Yes=0.5, **{"1": 0.3, " 1": 0.05, "0": 0.1})
    with asking(plain(lambda body, number: Reply(listed(top)))) as (backend, server):
        found = backend.label_logprobs(CHATS[:2], LABELS)
    assert np.exp(found.low[1]) == pytest.approx([0.1, 0.35])
    assert np.exp(found.high[1]) == pytest.approx([0.15, 0.35])  # " 0" may hold the 0.05 that is left
    assert server.asked[-1]["top_logprobs"] == 20


@pytest.mark.parametrize(
    ("top", "zero", "one"),
    [
        ({"Yes": 0.6, "1": 0.3}, (0.0, 0.101), (0.3, 0.401)),  # neither spelling of 0, of which there are two
        ({"Yes": 0.5, "No": 0.5}, (0.0, 0.001), (0.0, 0.001)),  # a list that leaves nothing but its rounding
        ({"Yes": 1.0, "1": 7e-5, "No": 6e-5}, (0.0, 1.2e-4), (7e-5, 1.3e-4)),  # rounding alone makes it more than 1
        ({"0": 0.6, "The": 0.01}, (0.6, 0.61), (0.0, 0.02)),  # none is likelier than the last one listed
        ({"▁0": 0.2, "Ġ1": 0.3, "0": 0.1, "1": 0.4}, (0.3, 0.3), (0.7, 0.7)),
    ],
)
def test_bounds_by_hand(top: dict[str, float], zero: tuple[float, float], one: tuple[float, float]) -> None:
    pairs = [(token, math.log(share)) for token, share in top.items()]
    assert np.exp(label_bounds(pairs, "0")) == pytest.approx(zero, abs=1e-9)
    assert np.exp(label_bounds(pairs, "1")) == pytest.approx(one, abs=1e-9)


def test_a_server_of_short_lists_is_asked_for_less() -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        if body["top_logprobs"] > 5:
            return Reply({"error": {"message": "top_logprobs must be at most 5"}}, status=400)
        return Reply(listed(logs(**{"1": 0.7, "0": 0.2})))

    with asking(plain(answer)) as (backend, server):
        assert np.exp(backend.label_logprobs(CHATS[:1], LABELS).low[0]) == pytest.approx([0.2, 0.7])
    assert server.asked[-1]["top_logprobs"] == 5


@pytest.mark.parametrize("reply", [Reply(said("1")), Reply({"error": {"message": "no logprobs"}}, status=400)])
def test_a_server_without_log_probabilities_is_refused(reply: Reply) -> None:
    with (
        asking(plain(lambda body, number: reply)) as (backend, _),
        pytest.raises(UsageError, match=r"so it cannot judge \(.*log.?prob.*\); use a server that"),
    ):
        backend.label_logprobs(CHATS, LABELS)


def faulty(fault: Callable[[], Reply]) -> Answer:
    """Every question meets the fault once, but the first, which tells how to ask."""
    met: set[str] = set()

    def answer(body: Mapping[str, Any], number: int) -> Reply:
        asked = body["messages"][0]["content"]
        if number > 1 and asked not in met:
            met.add(asked)
            return fault()
        share = (1 + int(asked.split()[-1])) / 20
        return Reply(listed({"1": math.log(share), " 1": -30.0, "0": math.log(1 - share), " 0": -30.0}))

    return plain(answer)


GOOD = listed({"1": -0.1, " 1": -30.0, "0": -3.0, " 0": -30.0})
FAULTS: dict[str, Callable[[], Reply]] = {
    "500": lambda: Reply({"error": "oops"}, status=500),
    "503 as text": lambda: Reply(b"<html>busy</html>", status=503, headers={"content-type": "text/html"}),
    "429 with seconds": lambda: Reply({}, status=429, headers={"retry-after": "0.2"}),
    "429 with a date": lambda: Reply(
        {}, status=429, headers={"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=1))}
    ),
    "429 with nonsense": lambda: Reply({}, status=429, headers={"retry-after": "soon"}),
    "too slow": lambda: Reply(GOOD, wait_s=1.5),
    "dripping": lambda: Reply(GOOD, drip_s=0.05),
    "cut off": lambda: Reply(GOOD, cut=40),
    "half a JSON": lambda: Reply(b'{"choices": [{"mess'),
    "no JSON": lambda: Reply(b"Bad Gateway"),
    "a list": lambda: Reply([1, 2]),
    "an error of status 200": lambda: Reply({"error": {"message": "upstream overloaded"}}),
    "another encoding": lambda: Reply('{"acc\u00e8s": 1}'.encode("latin-1")),
    "no choices": lambda: Reply({"choices": []}),
    "null log-probabilities": lambda: Reply({"choices": [{"message": {"content": "1"}, "logprobs": None}]}),
    "an empty list": lambda: Reply(listed({})),
    "NaN": lambda: Reply(listed({"1": float("nan"), "0": -1.0})),
    "a probability over 1": lambda: Reply(listed({"1": 0.7, "0": -1.0})),
    "words for numbers": lambda: Reply(listed({"1": "high", "0": "low"})),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_server_that_stumbles_once_a_question_loses_and_invents_nothing(name: str) -> None:
    with asking(faulty(FAULTS[name]), timeout_s=1.0, concurrency=12) as (backend, server):
        found = backend.label_logprobs(CHATS, LABELS)
    expected = [(1 - (n + 1) / 20, (n + 1) / 20) for n in range(12)]
    assert np.exp(found.low) == pytest.approx(np.array(expected), abs=1e-9)
    assert len(server.asked) >= 12 * 2


def test_retry_after_is_waited_for() -> None:
    start = time.monotonic()
    with asking(faulty(lambda: Reply({}, status=429, headers={"retry-after": "0.4"}))) as (backend, _):
        backend.label_logprobs(CHATS[:2], LABELS)
    assert time.monotonic() - start >= 0.4


@pytest.mark.parametrize(
    "name", ["500", "429 with seconds", "too slow", "dripping", "cut off", "half a JSON", "an error of status 200"]
)
def test_a_server_that_keeps_failing_ends_the_run_with_a_line(name: str) -> None:
    answer = plain(lambda body, number: Reply(GOOD) if number == 1 else FAULTS[name]())
    with (
        asking(answer, timeout_s=0.3, tries=2) as (backend, _),
        pytest.raises(RunError, match=r"failed 2 times .*run the same command again"),
    ):
        backend.label_logprobs(CHATS, LABELS)


def test_one_question_whose_reply_stays_unusable_is_null_and_the_others_are_not() -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        bad = body["messages"][0]["content"] == "question 3"
        return Reply(listed({"1": float("nan"), "0": -1.0}) if bad else GOOD)

    with asking(plain(answer)) as (backend, _):
        found = backend.label_logprobs(CHATS, LABELS).low
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [3]


def test_replies_that_are_mostly_unusable_are_not_kept_as_nulls() -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        return Reply(GOOD if number < 8 else listed({"1": float("nan"), "0": -1.0}))

    with asking(plain(answer), concurrency=1) as (backend, _), pytest.raises(RunError, match="held no usable"):
        backend.label_logprobs(CHATS, LABELS)


def test_a_stumble_over_the_token_ids_does_not_make_the_scores_inexact() -> None:
    stumbled: list[str] = []

    def answer(path: str, body: Mapping[str, Any], number: int) -> Reply:
        if path == "/tokenize" and not stumbled:
            stumbled.append(body["prompt"])
            return Reply({}, status=503)
        return by_id({32: 0.04, 216: 0.01, 33: 0.2, 217: 0.1})(path, body, number)

    with asking(answer) as (backend, _):
        assert np.exp(backend.label_logprobs(CHATS, LABELS).low[0]) == pytest.approx([0.05, 0.3])
    assert stumbled


@pytest.mark.parametrize("words", ["This model's maximum context length is 4096", "blocked by the content filter"])
def test_a_question_that_the_server_refuses_for_itself_is_null(words: str) -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        if body["messages"][0]["content"] == "question 5":
            return Reply({"error": {"message": words}}, status=400)
        return Reply(GOOD)

    with asking(plain(answer)) as (backend, _):
        found = backend.label_logprobs(CHATS, LABELS).low
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [5]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "refuses the key"), (404, "knows no such model or address"), (400, "refused a question")],
)
def test_what_trying_again_cannot_mend_ends_at_once(status: int, words: str) -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        return Reply(GOOD) if number == 1 else Reply({"error": {"message": "no"}}, status=status)

    with asking(plain(answer), concurrency=1) as (backend, server), pytest.raises(UsageError, match=words):
        backend.label_logprobs(CHATS, LABELS)
    assert len(server.asked) <= 3


def test_nobody_there_is_one_line() -> None:
    backend = OpenaiBackend("m", base_url="http://127.0.0.1:9/v1", tries=2)
    with pytest.raises(RunError, match=r"failed 2 times \(no connection"):
        backend.label_logprobs(CHATS, LABELS)
    backend.close()


def test_no_more_requests_or_tokens_are_under_way_than_allowed() -> None:
    under_way: list[int] = [0, 0]

    def answer(body: Mapping[str, Any], number: int) -> Reply:
        under_way[0] += 1
        under_way[1] = max(under_way)
        time.sleep(0.03)
        under_way[0] -= 1
        return Reply(said("x"))

    for options, most in (({"concurrency": 3}, 3), ({"tokens_in_flight": 250}, 2), ({"tokens_in_flight": 10}, 1)):
        under_way[:] = [0, 0]
        with asking(plain(answer), **options) as (backend, _):
            backend.generate(CHATS, Sampling(max_tokens=50))
        assert under_way[1] == most


def test_answers_come_in_order_with_their_thoughts_and_their_end() -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        asked = body["messages"][0]["content"]
        time.sleep(0.05 if asked == "question 0" else 0)
        if asked == "question 1":
            return Reply(said("so 4", finish="length", reasoning_content="2 + 2"))
        return Reply(said(f"{asked} {body['seed']}"))

    with asking(plain(answer)) as (backend, server):
        first = backend.generate(CHATS[:3], Sampling(n=3, temperature=0.5, top_p=0.9, max_tokens=7))
        again = backend.generate(CHATS[:3], Sampling(n=3, temperature=0.5, top_p=0.9, max_tokens=7))
    assert first == again
    assert [one.text.rsplit(" ", 1)[0] for one in first[0]] == ["question 0"] * 3
    assert len({one.text for one in first[0]}) == 3
    assert first[1][0].text == "<think>\n2 + 2\n</think>\n\nso 4"
    assert [one.cut_off for one in first[1]] == [True] * 3
    assert {body["max_tokens"] for body in server.asked} == {7}


def test_answers_drawn_later_are_no_copies_of_earlier_ones(tmp_path: Path) -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        return Reply(said(f"seed {body['seed']}", finish="length" if number == 3 else "stop"))

    question = asked("q")
    with asking(plain(answer), concurrency=1) as (backend, server), Samples(tmp_path / "c.jsonl") as kept:
        for n, max_tokens in ((4, 10), (4, 100), (8, 100)):
            draw(backend, [question], Sampling(n=n, temperature=1.0, max_tokens=max_tokens), kept, group=8)
        (texts,) = ([one.text for one in some] for some in kept.of([question.key], 8))
    assert len(server.asked) == 4 + 1 + 4
    assert len(set(texts)) == 8


@pytest.mark.parametrize("ended", ["length", "content_filter"])
def test_a_reply_whose_text_was_used_up_or_held_back_is_an_empty_answer(ended: str) -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        message = {"content": None, "reasoning_content": ""}
        return Reply({"choices": [{"message": message, "finish_reason": ended}], "usage": {"completion_tokens": 9}})

    with asking(plain(answer)) as (backend, server):
        ((one,),) = backend.generate(CHATS[:1], Sampling())
    assert (one.text, one.tokens, one.cut_off) == ("", 9, ended == "length")
    assert len(server.asked) == 1


def test_a_reply_without_text_is_asked_for_again_and_never_made_up() -> None:
    def answer(body: Mapping[str, Any], number: int) -> Reply:
        return Reply({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]})

    with (
        asking(plain(answer)) as (backend, server),
        pytest.raises(
            RunError,
            match=r"to the question that begins '.*' are no answers .*; mend the server, or leave the question out",
        ),
    ):
        backend.generate(CHATS[:1], Sampling())
    assert len(server.asked) == 3
