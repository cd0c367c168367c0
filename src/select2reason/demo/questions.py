"""The families of questions, and how a new question is drawn from them."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import ClassVar, Protocol, Self

from select2reason.demo.backtracking import Queens, Seating, Subsets
from select2reason.demo.calculating import Chain, Powers
from select2reason.demo.counting import Paths, Triangles
from select2reason.demo.prose import Pen
from select2reason.demo.shortest import Coins, Jugs
from select2reason.demo.trying import Divisors, Remainders, Roots


class Puzzle(Protocol):
    """The numbers behind a question. Frozen, so that two of the same numbers are equal."""

    category: ClassVar[str]

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        """A new one; level 1 to 5, 5 = hardest."""
        ...

    def ask(self, rng: Random) -> str:
        """The question in words, its alternatives still open (see `spin`)."""
        ...

    @property
    def answer(self) -> int:
        """The gold answer, calculated the shortest way, without a word."""
        ...

    def solve(self, pen: Pen) -> int:
        """Search for the answer and write down every step; it is the gold answer unless the pen slips."""
        ...


FAMILIES: tuple[type[Puzzle], ...] = (
    Chain,
    Powers,
    Roots,
    Remainders,
    Divisors,
    Paths,
    Triangles,
    Subsets,
    Queens,
    Seating,
    Coins,
    Jugs,
)
_LEVELS = {1: 25, 2: 24, 3: 22, 4: 17, 5: 12}  # weights; as in real pools, the hardest questions are the fewest


def draw_puzzle(rng: Random, seen: Collection[Puzzle], *, hard: bool) -> Puzzle:
    """A puzzle that is not among those seen; `hard` means level 3 or more."""
    while True:
        level = rng.randint(3, 5) if hard else rng.choices(list(_LEVELS), list(_LEVELS.values()))[0]
        puzzle = rng.choice(FAMILIES).make(rng, level)
        if puzzle not in seen:
            return puzzle
