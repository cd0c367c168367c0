"""Asking a chat server without losing a question: bounded, timed, and tried again when the server stumbles.

A stumble is a lost connection, a time-out, a status of 408, 409, 425, 429 or 500 and more, a reply cut short, or one of
the wrong shape. Other refusals are final. The package `openai` carries the requests.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, TypeVar

from select2reason.errors import RunError, UsageError

_T = TypeVar("_T")
_AGAIN = {408, 409, 425, 429}
_KEYS = {401, 403}
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_TOKENIZE_S = 30.0
_LONGEST_ORDERED_S = 600.0  # of a Retry-After: a server that wants longer is as good as away
_SHAPE_TRIES = 3  # a whole reply of the wrong shape rarely gets better
_LEAST_SECRET = 12  # signs: shorter keys are words such as `none` or `EMPTY`, which answers may hold
_CHARS_PER_TOKEN = 3  # a cautious guess, for the budget alone
_TOO_LONG = (
    "context length",
    "context_length",
    "context size",
    "maximum context",
    "too long",
    "max_model_len",
    "must be <=",
)
_FILTERED = ("content_filter", "content filter", "content management", "safety", "moderation")


class RefusedError(Exception):
    """The server says no to this request; `too_long` where it does not fit the model's context."""

    @property
    def too_long(self) -> bool:
        """Whether the refusal speaks of the context's length."""
        return any(words in str(self).lower() for words in _TOO_LONG)

    @property
    def of_the_question(self) -> bool:
        """Whether it is this question alone that is refused: too long, or filtered."""
        return self.too_long or any(words in str(self).lower() for words in _FILTERED)


class BadReplyError(Exception):
    """A reply of the right status that cannot be used."""


class ChatClient:
    """Sends requests of one server; made in any thread, used in one event loop."""

    def __init__(
        self, base_url: str, api_key: str | None, *, concurrency: int, tokens_in_flight: int, tries: int
    ) -> None:
        import os

        from openai import AsyncOpenAI

        key = api_key or os.environ.get("OPENAI_API_KEY") or "none"  # local servers want none, the package wants one
        self._secret = key.encode() if len(key) >= _LEAST_SECRET else None
        self.url = base_url.rstrip("/")
        self._client = AsyncOpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=None)  # `ask` has its own
        self._places = asyncio.Semaphore(concurrency)
        self._budget = _Budget(tokens_in_flight)
        self._tries = tries

    async def ask(self, body: Mapping[str, object], read: Callable[[Mapping[str, Any]], _T], *, timeout_s: float) -> _T:
        """What `read` makes of the reply; it raises BadReplyError for one that it cannot use.

        Raises RefusedError, BadReplyError where the last try's reply was unusable, RunError where the server keeps
        failing or is not there, UsageError where it wants a key or does not know the model.
        """
        cost = len(json.dumps(body)) // _CHARS_PER_TOKEN + int(str(body.get("max_tokens", 0)))
        async with self._places, self._budget.of(cost):
            for number in range(1, self._tries + 1):
                stumble = await self._try(body, read, timeout_s)
                if not isinstance(stumble, _Stumble):
                    return stumble
                if number >= (self._tries if isinstance(stumble.why, str) else min(self._tries, _SHAPE_TRIES)):
                    stumble.give_up(self.url, number)
                await asyncio.sleep(stumble.wait_s if stumble.wait_s is not None else _wait(number))
        raise AssertionError("a client tries at least once")

    async def _try(
        self, body: Mapping[str, object], read: Callable[[Mapping[str, Any]], _T], timeout_s: float
    ) -> _T | _Stumble:
        import httpx2
        import openai

        try:
            async with asyncio.timeout(
                timeout_s
            ):  # of the whole exchange: a server that drips never times out by itself
                reply = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=dict(body))
            parsed = _parsed(self._hidden(reply.content))
            if "error" in parsed and "choices" not in parsed:
                return _Stumble(f"an error in place of a reply: {str(parsed['error'])[:200]}")
            return read(parsed)
        except BadReplyError as error:
            return _Stumble(error)
        except ValueError:  # neither JSON nor, at times, text
            return _Stumble("a reply that is no JSON")
        except (TimeoutError, openai.APITimeoutError):
            return _Stumble(f"no reply within {timeout_s:g} s")
        except openai.APIConnectionError as error:
            return _Stumble(f"no connection: {error.__cause__ or error}")
        except openai.APIStatusError as error:
            words = self._hidden(" ".join(str(error.message).split()).encode("utf-8", "replace")).decode()[:300]
            return _after(error, words, self.url)

    def _hidden(self, said: bytes) -> bytes:
        """What a server says, without our key: it may say it back, and its words are shown and kept."""
        return said if self._secret is None else said.replace(self._secret, b"[key]")

    async def tokenize(self, model: str, text: str) -> list[int] | None:
        """Ids of a text, from a server that has vLLM's /tokenize; None elsewhere.

        A server that stumbles is asked again: taken for one that does not know, it would be asked for less than it can
        say. Raises RunError where it keeps stumbling."""
        import httpx2
        import openai

        url = f"{self.url.removesuffix('/v1')}/tokenize"
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        why = ""
        for number in range(1, self._tries + 1):
            try:
                async with asyncio.timeout(_TOKENIZE_S):
                    reply = await self._client.post(url, cast_to=httpx2.Response, body=body)
                ids = _parsed(reply.content)["tokens"]
                return ids if isinstance(ids, list) and all(isinstance(one, int) for one in ids) else None
            except (BadReplyError, KeyError, ValueError):
                return None
            except openai.APIStatusError as error:
                if error.status_code < 500 and error.status_code not in _AGAIN:
                    return None
                why = f"status {error.status_code}"
            except (openai.APIConnectionError, TimeoutError) as error:
                why = f"no connection: {error.__cause__ or error}"
            await asyncio.sleep(_wait(number))
        raise RunError(f"{url} failed {self._tries} times ({why}); see to the server and run the same command again")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class _Stumble:
    """Why a try failed, and how long the server asked to wait (None: it did not say)."""

    def __init__(self, why: str | BadReplyError, wait_s: float | None = None) -> None:
        self.why = why
        self.wait_s = wait_s

    def give_up(self, url: str, tries: int) -> None:
        """Raise what the caller should know."""
        if isinstance(self.why, BadReplyError):
            raise self.why
        raise RunError(f"{url} failed {tries} times ({self.why}); see to the server and run the same command again")


def _after(error: Any, words: str, url: str) -> _Stumble:
    """What a status other than success comes to; `words` are the server's. Raises RefusedError or UsageError where
    trying again is no use."""
    status = error.status_code
    if status in _AGAIN or status >= 500:
        return _Stumble(f"status {status}", _ordered(error.response.headers))
    if status in _KEYS:
        raise UsageError(f"{url} refuses the key (status {status}); set OPENAI_API_KEY")
    if status == 404:
        raise UsageError(f"{url} knows no such model or address ({words}); mend --model or --base-url")
    raise RefusedError(words)


def _ordered(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After, given as a number or a date."""
    said = headers.get("retry-after")
    if said is None:
        return None
    try:
        wait = float(said)
    except ValueError:
        try:
            wait = parsedate_to_datetime(said).timestamp() - time()
        except ValueError:
            return None
    return min(max(wait, 0.0), _LONGEST_ORDERED_S) if wait == wait else None


def _wait(number: int) -> float:
    """Doubles from try to try; at random between half and all of it, so that requests do not come back together."""
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (number - 1)) * random.uniform(0.5, 1.0)


def _parsed(content: bytes) -> Mapping[str, Any]:
    """Python's reader takes the NaN that some servers write; what it means is for the reader of the reply."""
    reply = json.loads(content)
    if not isinstance(reply, dict):
        raise BadReplyError("a reply that is no object")
    return reply


class _Budget:
    """Tokens under way; one request that is over the budget by itself goes alone."""

    def __init__(self, tokens: int) -> None:
        self._most = tokens
        self._used = 0
        self._changed = asyncio.Condition()

    def of(self, cost: int) -> _Share:
        return _Share(self, min(cost, self._most))

    async def take(self, cost: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._used + cost <= self._most)
            self._used += cost

    async def give(self, cost: int) -> None:
        async with self._changed:
            self._used -= cost
            self._changed.notify_all()


class _Share:
    """A part of the budget, held while a block runs."""

    def __init__(self, budget: _Budget, cost: int) -> None:
        self._budget = budget
        self._cost = cost

    async def __aenter__(self) -> None:
        await self._budget.take(self._cost)

    async def __aexit__(self, *_: object) -> None:
        await self._budget.give(self._cost)
