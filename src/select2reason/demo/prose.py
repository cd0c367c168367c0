"""The writing: how a search puts its work on paper, one step a paragraph.

A sentence is written with its alternatives in it, `[Take|Try] 7[, say|]`, and `spin` settles them by chance; this is
what keeps a thousand steps of honest search from reading, or counting, like a loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from random import Random

DEAD = "[Wait, |However, |But wait, |Hmm, |Wait, no: |No good, |So no: |Alas, |]"
"""Opens a sentence that gives up on something: used where the search really meets a dead end."""

_ONWARD = "[Now |Then |Next, |So |Next I |Let me |Then I |So I |||]"
_INSTEAD = "[Alternatively, |Maybe |Or maybe |Alternatively, let me |Next, |Then |Or |Going on, I |Now |]"
_ASIDE = (
    "[[Okay|Fine|Good|Right|So|Well], [that is done|one more down|I keep that in mind|this is going well|nothing "
    "odd].|[I must be|Let me stay|Better be] [careful|systematic|patient] [here|with the order|with this part|now]."
    "|[So far|Up to here|Until now] [nothing is missing|all is in order|the order holds|it adds up]."
    "|[Let me|I will] [go on|continue|carry on] [with the next one|from there|in the same order|down the list].]"
)

_CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_SLIPS = (-10, -2, -1, -1, 1, 1, 2, 10)


def spin(text: str, rng: Random) -> str:
    """Settle every `[one|other]` in the text, the innermost first."""
    found = 1
    while found and "[" in text:
        text, found = _CHOICE.subn(lambda choice: pick(choice[1].split("|"), rng), text)
    return text


def pick(options: Sequence[str], rng: Random) -> str:
    """One of the options; `Random.choice` takes four times as long, and this is called half a million times."""
    return options[int(rng.random() * len(options))]


def listing(values: Iterable[object], last: str = "and") -> str:
    """`2, 3 and 5`; nothing for nothing."""
    *head, end = [str(value) for value in values] or [""]
    return f"{', '.join(head)} {last} {end}" if head else end


def plural(count: int, noun: str) -> str:
    """`1 coin`, `3 coins`, `no coins`."""
    return f"{count or 'no'} {noun}" + ("" if count == 1 else "s")


def polynomial(coefficients: list[int]) -> str:
    """LaTeX, highest power first."""
    terms = []
    for power, c in zip(range(len(coefficients) - 1, -1, -1), coefficients, strict=True):
        size = "" if abs(c) == 1 and power else str(abs(c))
        letter = "" if power == 0 else "x" if power == 1 else f"x^{{{power}}}"
        if c:
            terms.append(f"{'-' if c < 0 else '+'} {size}{letter}")
    return " ".join(terms).removeprefix("+ ")


class Pen:
    """Takes down one trace while its search runs; a planted slip of the pen is carried on by whatever follows."""

    __slots__ = ("_slip_at", "_steps", "reckoned", "rng")

    def __init__(self, rng: Random, *, slip_at: int | None = None) -> None:
        self.rng = rng
        self.reckoned = 0
        self._slip_at = slip_at
        self._steps: list[list[str]] = []

    @property
    def steps(self) -> list[str]:
        return [" ".join(sentences) for sentences in self._steps]

    def step(self, text: str) -> None:
        """Begin a new paragraph."""
        self._steps.append([_capital(spin(text, self.rng))])

    def attempt(self, text: str, *, first: bool) -> None:
        """Begin a paragraph with an attempt, `try 7`; where it is not the first of its choices, the search turns."""
        if self.chance(0.08):
            self.say(_ASIDE)
        self.step((_ONWARD if first else _INSTEAD) + text)

    def say(self, text: str) -> None:
        """Go on in the same paragraph: a new sentence where the last one has ended, else the rest of it."""
        ended = self._steps[-1][-1].endswith((".", "!", "?"))
        words = spin(text, self.rng).strip()
        self._steps[-1].append(_capital(words) if ended else words)

    def reckon(self, value: int) -> int:
        """The value of a calculation; wrong, and never below 1, in the one place where the pen is to slip."""
        self.reckoned += 1
        if self.reckoned - 1 != self._slip_at:
            return value
        slip = self.rng.choice(_SLIPS)
        return value + (slip if value + slip > 0 else -slip)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def verifies(self) -> bool:
        """Whether the work is checked at the end. One who slipped did not look again."""
        return self._slip_at is None and self.chance(0.45)


def conclude(answer: int, rng: Random) -> str:
    """The final text, after the trace."""
    return spin(
        "[The answer is|The final answer is|So the answer is|Working through all the cases, the result is"
        rf"|Putting everything together, I get|The search above gives|Hence the answer is] $\boxed{{{answer}}}$.",
        rng,
    )


def respond(steps: Sequence[str], final: str) -> str:
    """A whole response: the trace between its tags, then the final text."""
    trace = "\n\n".join(steps)
    return f"<think>\n{trace}\n</think>\n\n{final}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
