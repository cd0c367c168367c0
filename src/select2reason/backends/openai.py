"""Any server that speaks OpenAI's chat protocol: many requests at once, each tried again when the server stumbles.

Labels are asked for by token id where the server knows how (vLLM's `logprob_token_ids`): then they are exact.
Elsewhere the list of the likeliest tokens gives bounds, and a server that reports no log-probabilities is refused.
Nothing is made up: what a server never said stays NaN, and one that keeps failing ends the run, what is finished kept.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from select2reason.backends.base import Completion, Done, LabelLogprobs, Messages, Sampling
from select2reason.backends.chats import seed_of
from select2reason.backends.http import BadReplyError, ChatClient, RefusedError
from select2reason.backends.loading import needs
from select2reason.errors import RunError, UsageError

_T = TypeVar("_T")
_LISTS = (20, 5, 1)  # likeliest tokens to ask for: OpenAI's most, and what smaller servers allow
_JUDGE_TIMEOUT_S = 120.0
_ANSWER_TIMEOUT_S = 1_800.0
_SPELLINGS = 2  # of a label: without and with a leading space
_SPACES = " Ġ▁"
_SLACK = 1e-3  # of a log-probability over 0, and of what a list leaves: servers round
_FEW_BAD = 0.1  # of a batch: more unusable replies than these are the server's fault, not the questions'


class OpenaiBackend:
    """One model behind one address. At most `concurrency` requests and `tokens_in_flight` tokens (sent and allowed) are
    under way at once; `timeout_s` bounds one request from first to last byte (None: 2 minutes, 30 for answers)."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key: str | None = None,
        concurrency: int = 32,
        tokens_in_flight: int = 4_000_000,
        timeout_s: float | None = None,
        tries: int = 8,
    ) -> None:
        needs("openai")
        self.name = model
        self._timeout_s = timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = ChatClient(
            base_url, api_key, concurrency=concurrency, tokens_in_flight=tokens_in_flight, tries=tries
        )
        self._asking = threading.Lock()
        self._how: _Asking | None = None
        self._said = "no reply"  # the server's last words against a way of asking

    def label_logprobs(self, prompts: Sequence[Messages], labels: Sequence[str]) -> LabelLogprobs:
        """See `Backend`. Exact where the server takes token ids, else bounds. NaN: too long for the server, or a reply
        that stayed unusable. Raises UsageError where the server reports no log-probabilities."""
        bounds = np.full((2, len(prompts), len(labels)), np.nan)
        if prompts:
            with self._asking:
                self._how = self._how or self._run(self._find_out(prompts, labels))
            for row, found in enumerate(self._run(self._judged(self._how, prompts, labels))):
                if found is not None:
                    bounds[:, row] = found
        return LabelLogprobs(bounds[0], bounds[1])

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, *, done: Done | None = None
    ) -> list[list[Completion]]:
        """See `Backend`. One request an answer, each with a seed of its own. Raises RunError where the server fails."""
        return self._run(self._drawn(prompts, sampling, done))

    def close(self) -> None:
        """Hang up; whoever still waits is told so."""
        if self._loop.is_closed():
            return
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await self._client.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # --- labels ---

    async def _find_out(self, prompts: Sequence[Messages], labels: Sequence[str]) -> _Asking:
        """How this server tells labels, tried on one prompt."""
        shortest = min(prompts, key=lambda prompt: sum(len(turn["content"]) for turn in prompt))
        if ids := await self._ids(labels):
            by_id = _Asking({"logprob_token_ids": sorted(chain(*ids)), "return_tokens_as_token_ids": True}, ids)
            if await self._tells(by_id, shortest, labels):
                return by_id
        for count in _LISTS:
            listed = _Asking({"top_logprobs": count}, None)
            if await self._tells(listed, shortest, labels):
                return listed
        raise UsageError(
            f"the server of {self.name} reports no log-probabilities, so it cannot judge ({self._said}); use a server "
            "that does (vLLM, SGLang, llama.cpp), --backend transformers, or --difficulty rollout:DIR"
        )

    async def _ids(self, labels: Sequence[str]) -> list[list[int]] | None:
        """Token ids of each label's spellings, from a server that tells them (vLLM)."""
        found = []
        for label in labels:
            spelled = [await self._client.tokenize(self.name, text) for text in (label, f" {label}")]
            found.append(sorted({ids[0] for ids in spelled if ids is not None and len(ids) == 1}))
        return found if all(found) else None

    async def _tells(self, how: _Asking, prompt: Messages, labels: Sequence[str]) -> bool:
        try:
            await self._client.ask(self._question(how, prompt), self._bounds(how, labels), timeout_s=self._patience)
        except (RefusedError, BadReplyError) as error:
            self._said = str(error)
            return False
        return True

    async def _judged(self, how: _Asking, prompts: Sequence[Messages], labels: Sequence[str]) -> list[Any]:
        read = self._bounds(how, labels)

        async def one(prompt: Messages) -> list[list[float]] | None:
            try:
                return await self._client.ask(self._question(how, prompt), read, timeout_s=self._patience)
            except BadReplyError:
                bad.append(1)
                return None
            except RefusedError as error:
                if error.of_the_question:
                    return None
                raise UsageError(f"the server refused a question: {error}; mend the request or the server") from error

        bad: list[int] = []
        found = list(await _all(one(prompt) for prompt in prompts))
        if len(bad) > max(1, _FEW_BAD * len(prompts)):
            raise RunError(
                f"{len(bad)} of {len(prompts)} replies of the server held no usable log-probabilities; see to the "
                "server and run the same command again"
            )
        return found

    @property
    def _patience(self) -> float:
        return self._timeout_s or _JUDGE_TIMEOUT_S

    def _question(self, how: _Asking, prompt: Messages) -> dict[str, object]:
        body = {"model": self.name, "messages": list(prompt), "max_tokens": 1, "temperature": 0.0, "logprobs": True}
        if how.ids is not None:  # vLLM: no thinking, and no penalty from the model's own settings
            body |= {"chat_template_kwargs": {"enable_thinking": False}, "repetition_penalty": 1.0}
        return body | how.extra

    def _bounds(self, how: _Asking, labels: Sequence[str]) -> Any:
        def read(reply: Mapping[str, Any]) -> list[list[float]]:
            listed = _listed(reply)
            if how.ids is not None:
                exact = [_by_id(listed, ids) for ids in how.ids]
                return [exact, exact]
            pairs = [label_bounds(listed, label) for label in labels]
            return [[low for low, _ in pairs], [high for _, high in pairs]]

        return read

    # --- answers ---

    async def _drawn(
        self, prompts: Sequence[Messages], sampling: Sampling, done: Done | None
    ) -> list[list[Completion]]:
        answers: list[list[Completion | None]] = [[None] * sampling.n for _ in prompts]

        async def one(at: int, number: int) -> None:
            answers[at][number] = await asked(prompts[at], number)
            if done is not None and None not in answers[at]:
                done(at, [answer for answer in answers[at] if answer is not None])

        async def asked(prompt: Messages, number: int) -> Completion:
            body = {
                "model": self.name,
                "messages": list(prompt),
                "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "seed": (seed_of(sampling.seed, [prompt]) + number) % 2**31,
            }
            try:
                return await self._client.ask(body, _completion, timeout_s=self._timeout_s or _ANSWER_TIMEOUT_S)
            except RefusedError as error:
                shorter = "give a smaller --max-tokens, leave the question out, or raise the server's context"
                fix = shorter if error.of_the_question else "mend the request"
                raise UsageError(f"the server refused {_named(prompt)}: {error}; {fix}") from error
            except BadReplyError as error:
                told = f"the server's replies to {_named(prompt)} are no answers ({error})"
                raise RunError(f"{told}; mend the server, or leave the question out, and run again") from error

        await _all(one(at, number) for at in range(len(prompts)) for number in range(sampling.n))
        return [[answer for answer in some if answer is not None] for some in answers]


def _named(prompt: Messages) -> str:
    return f"the question that begins {prompt[-1]['content'][:60]!r}"


class _Asking:
    """What a request for labels says beside the prompt; `ids` are the labels' token ids where it asks by id."""

    def __init__(self, extra: Mapping[str, object], ids: list[list[int]] | None) -> None:
        self.extra = dict(extra)
        self.ids = ids


async def _all(work: Any) -> list[Any]:
    """Results in order; the first failure ends the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _listed(reply: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Tokens and log-probabilities of a reply's first place. Raises BadReplyError where there are none to trust."""
    try:
        first = reply["choices"][0]["logprobs"]["content"][0]
        pairs = [(one["token"], float(one["logprob"])) for one in first["top_logprobs"]]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadReplyError("no log-probabilities in the reply") from error
    if not pairs or not all(
        isinstance(token, str) and value <= _SLACK for token, value in pairs
    ):  # NaN is not <= either
        raise BadReplyError("log-probabilities that are none")
    return pairs


def _by_id(listed: Sequence[tuple[str, float]], ids: Sequence[int]) -> float:
    told = dict(listed)
    try:
        return float(np.logaddexp.reduce([min(told[f"token_id:{token}"], 0.0) for token in ids]))
    except KeyError as error:
        raise BadReplyError(f"no log-probability of {error} in the reply") from error


def label_bounds(listed: Sequence[tuple[str, float]], label: str) -> tuple[float, float]:
    """Bounds of a label's log-probability from a list of likeliest tokens: a spelling that is not listed is at most as
    likely as the last one listed, and not likelier than all that the list leaves."""
    spelled = {token: value for token, value in listed if token.strip(_SPACES) == label}
    known = float(np.exp(list(spelled.values())).sum())
    rest = max(0.0, 1.0 - float(np.exp([value for _, value in listed]).sum()))
    least = float(np.exp(min(value for _, value in listed)))
    hidden = min(rest + _SLACK, max(0, _SPELLINGS - len(spelled)) * least)
    with np.errstate(divide="ignore"):
        return float(np.log(known)), float(min(0.0, np.log(known + hidden)))


def _completion(reply: Mapping[str, Any]) -> Completion:
    try:
        choice = reply["choices"][0]
        message, ended = choice["message"], choice["finish_reason"]
        thought = message.get("reasoning_content") or message.get("reasoning")
        content = (
            message["refusal"] if message.get("content") is None and message.get("refusal") else message.get("content")
        )
        tokens = (reply.get("usage") or {}).get("completion_tokens")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BadReplyError("no message in the reply") from error
    silenced = ended in ("length", "content_filter")  # thoughts that are not shown took all tokens, or it was held back
    if not all(isinstance(part, str | None) for part in (thought, content)) or (
        not thought and content is None and not silenced
    ):
        raise BadReplyError("a message without text")
    text = (f"<think>\n{thought}\n</think>\n\n" if thought else "") + (content or "")
    return Completion(text, tokens if isinstance(tokens, int) else None, ended == "length")
