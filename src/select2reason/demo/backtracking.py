"""Questions that need depth-first search with every dead end undone: subset sums, queens, seatings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations
from random import Random
from typing import ClassVar, Self

from select2reason.demo.prose import DEAD, Pen, listing

Square = tuple[int, int]

_NAMES = (
    ("Ada", "Bruno", "Chidi", "Dalia", "Emil", "Fenna"),
    ("Goran", "Hana", "Ivo", "Juno", "Kaito", "Lale"),
    ("Mei", "Nuru", "Oskar", "Pia", "Quinn", "Rosa"),
    ("Sami", "Tove", "Uma", "Vito", "Wanda", "Yusuf"),
)


@dataclass(frozen=True, slots=True)
class Subsets:
    """In how many ways do some of the weights add up to the target?"""

    category: ClassVar[str] = "Logic and Puzzles"
    weights: tuple[int, ...]
    target: int

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        size, high = ((5, 15), (6, 20), (7, 25), (9, 32), (11, 34))[level - 1]
        while True:
            weights = rng.sample(range(2, high), size)
            target = sum(rng.sample(weights, rng.randint(size // 2, size // 2 + 1)))
            subsets = cls(tuple(weights), target)
            if level // 2 <= subsets.answer < 8 * level:
                return subsets

    def ask(self, rng: Random) -> str:
        weights, t = listing(self.weights), self.target
        goods = rng.choice(["parcels", "sacks of rye", "stones", "crates", "barrels", "bundles of wool"])
        forms = [
            f"How many subsets of $\\{{{', '.join(map(str, self.weights))}\\}}$ have [sum|elements adding up to] "
            f"${t}$?",
            f"[A carrier|A boatman|A mule driver] has {goods} weighing {weights} kg. "
            "[In how many ways can|In how many different ways could] some of them be loaded so that the load is "
            f"exactly {t} kg?",
            f"[Each of the numbers|In the list, each of] {weights} may be [kept or struck out|kept or crossed out]. "
            f"In how many ways can this be done so that [the kept numbers total {t}|what is kept adds up to {t}]?",
            f"Let $S = \\{{{', '.join(map(str, sorted(self.weights)))}\\}}$. [Determine|Find] the number of sets "
            f"$A \\subseteq S$ with $\\sum_{{a \\in A}} a = {t}$.",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        sizes = range(1, len(self.weights) + 1)
        return sum(sum(chosen) == self.target for size in sizes for chosen in combinations(self.weights, size))

    def solve(self, pen: Pen) -> int:
        pen.step(f"[So which of them make {self.target}?|I need every choice with total {self.target}.]")
        weights = sorted(self.weights, reverse=True)
        if self.answer < 15 and pen.chance(0.35):  # small ones first is the longer way, by far
            weights.reverse()
        pen.say(
            f"[Sort them|In order|I line them up]: {listing(weights)}. [Depth first, then.|Let me search in order.|]"
        )
        total = self._extend(pen, weights, (), self.target, 0)
        pen.step(
            f"[Everything has been tried|The search is complete|No branch is left], [and|so] the count is {total}."
        )
        return total

    def _extend(self, pen: Pen, later: list[int], taken: tuple[int, ...], rest: int, found: int) -> int:
        """Try each of the later weights as the next one of the taken; `rest` is still to be made up."""
        have = f"[with|having|given] {listing(taken)}" if taken else "at the start"
        for i, weight in enumerate(later):
            if sum(later[i:]) < rest:
                pen.step(f"{DEAD}{have} [the weights from {weight} on|what is left, {listing(later[i:])},] add up to")
                pen.say(f"{sum(later[i:])}, [short of|less than] {rest}. [Dead end.|Go back.|No use going on there.|]")
                return found
            if weight == rest:
                found = pen.reckon(found + 1)
                pen.step(f"[Take|And] {weight}, {have}: [exactly {self.target}|that closes the gap|the sum fits]!")
                pen.say(f"[{found} so far|Number {found}|That makes {found}|Count {found}].")
            elif weight < rest:
                left = f"[{rest - weight} to go|that leaves {rest - weight}]"
                pen.attempt(f"[take|try|add] {weight} {have}; {left}.", first=i == 0)
                found = self._extend(pen, later[i + 1 :], (*taken, weight), rest - weight, found)
        if not later or rest < min(later):
            pen.say(f"{DEAD}[nothing fits into {rest}|there is no way to make {rest} now|{rest} cannot be filled].")
        return found


@dataclass(frozen=True, slots=True)
class Queens:
    """In how many ways do n queens stand on an n by n board with some broken squares, none attacking another?"""

    category: ClassVar[str] = "Logic and Puzzles"
    size: int
    broken: tuple[Square, ...]

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        size, fewest, most = ((4, 2, 3), (5, 7, 9), (5, 2, 5), (6, 5, 9), (7, 11, 16))[level - 1]
        squares = [(row, column) for row in range(1, size + 1) for column in range(1, size + 1)]
        while True:
            board = cls(size, tuple(sorted(rng.sample(squares, rng.randint(fewest, most)))))
            if board.answer:
                return board

    def ask(self, rng: Random) -> str:
        n, squares = self.size, listing(f"$({r}, {c})$" for r, c in self.broken)
        thing = rng.choice(["lamp", "camera", "flag", "sensor", "statue"])
        forms = [
            f"The squares {squares} (row, column) of [a|some] ${n} \\times {n}$ chessboard are "
            f"[damaged|missing|painted red]. In how many ways can {n} queens stand on the others "
            "[so that no two attack each other|without attacking one another]?",
            f"[Place|We place|Somebody places] {n} mutually non-attacking queens on a ${n} \\times {n}$ "
            f"board without using the [squares|cells] {squares}, given as (row, column). How many placements "
            "[are there|exist|are possible]?",
            f"[Each row and each column|Every row and every column] of a ${n} \\times {n}$ "
            f"[grid|lattice|floor plan] gets one {thing}, and no two may [lie on|share] a common "
            f"diagonal[, long or short|]. The cells {squares} (row, column) [cannot be used|are taken]. "
            "[How many arrangements are possible?|Find the number of ways to do this.]",
            f"How many permutations $p$ of [the numbers |]$1, \\dots, {n}$ [satisfy|obey] $\\lvert "
            "p(i) - p(j) \\rvert \\ne \\lvert i - j \\rvert$ for all $i \\ne j$, if $(i, p(i))$ "
            f"[is never one of|may not be any of|avoids] {squares}?",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        return self._count(())

    def _count(self, columns: tuple[int, ...]) -> int:
        if len(columns) == self.size:
            return 1
        return sum(self._count((*columns, column)) for column in self._safe(columns))

    def _safe(self, columns: tuple[int, ...]) -> list[int]:
        """Columns for the queen of the next row, given those of the rows above."""
        row = len(columns)
        return [
            c
            for c in range(1, self.size + 1)
            if (row + 1, c) not in self.broken
            and all(c != other and abs(c - other) != row - above for above, other in enumerate(columns))
        ]

    def solve(self, pen: Pen) -> int:
        pen.step(
            "[Okay, one queen in each row|Every row has exactly one queen]. [I go|Let me go] [down the rows|row by row]"
        )
        pen.say("and [note|write down] only [the columns|her column]. [Broken squares are skipped.|]")
        backwards = pen.chance(0.4)
        total = self._place(pen, (), 0, backwards=backwards)
        pen.step(
            "[The first row is exhausted|All columns of row 1 are done], [so there are|which leaves a total of] "
            f"{total}."
        )
        return total

    def _place(self, pen: Pen, columns: tuple[int, ...], found: int, *, backwards: bool) -> int:
        row, safe = len(columns) + 1, self._safe(columns)
        so_far = f"[after|queens on|with] {listing(columns)}" if columns else "an empty board"
        if row > self.size:
            found = pen.reckon(found + 1)
            pen.say(
                f"[That is a solution|All rows are filled|It works]: {listing(columns)}. [Number|Solution] {found}."
            )
            return found
        if not safe:
            pen.say(f"{DEAD}[row {row} has no safe square|in row {row} everything is attacked|row {row} is dead].")
            return found
        pen.say(
            f"[Row {row}|In row {row}|For row {row}], {so_far}: [I can use|what is safe:|open:|there remain] "
            f"{listing(safe)}."
        )
        for turn, column in enumerate(reversed(safe) if backwards else safe):
            pen.attempt(f"[try|take|use] column {column} in row {row}.", first=turn == 0)
            found = self._place(pen, (*columns, column), found, backwards=backwards)
        return found


@dataclass(frozen=True, slots=True)
class Seating:
    """In how many ways can people sit on chairs when each refuses some of them?"""

    category: ClassVar[str] = "Combinatorics"
    people: tuple[str, ...]
    refused: tuple[tuple[int, ...], ...]

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        size, most = ((3, 1), (4, 2), (5, 3), (5, 2), (6, 3))[level - 1]
        chairs = range(1, size + 1)
        while True:
            refused = tuple(tuple(sorted(rng.sample(chairs, rng.randint(0, most)))) for _ in chairs)
            seating = cls(rng.choice(_NAMES)[:size], refused)
            if sum(map(len, refused)) >= size - 1 and 0 < seating.answer < 140:
                return seating

    def ask(self, rng: Random) -> str:
        n = len(self.people)
        refusals = [
            f"{who} [refuses|will not sit on|rejects] {'chair' if len(chairs) == 1 else 'chairs'} "
            f"{listing(chairs, 'and')}"
            for who, chairs in zip(self.people, self.refused, strict=True)
            if chairs
        ]
        forms = [
            f"{listing(self.people)} [sit down on|take] {n} chairs in a row, numbered from 1 to {n}. "
            f"{'; '.join(refusals)}. [In how many ways can they be seated?|How many seatings are possible?]",
            f"[There are {n} numbered chairs for|Chairs $1, \\dots, {n}$ are laid out for] {listing(self.people)}, but "
            f"{listing(refusals)}. [Count the seatings|Find the number of arrangements] that respect these wishes.",
            f"How many ways are there to give each of {listing(self.people)} one of the chairs 1 to {n}, all "
            f"different, if {listing(refusals)}?",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        chairs = range(1, len(self.people) + 1)
        return sum(
            all(chair not in refused for chair, refused in zip(order, self.refused, strict=True))
            for order in permutations(chairs)
        )

    def solve(self, pen: Pen) -> int:
        order = list(range(len(self.people)))
        pen.step("[Okay, let me seat them one after the other|I will go through the seatings person by person].")
        if pen.chance(0.5):
            order.sort(key=lambda i: -len(self.refused[i]))
            pen.say("[The most particular first|I begin with whoever is hardest to please]:")
        else:
            pen.rng.shuffle(order)
            pen.say("[Any order will do|I take them in this order]:")
        pen.say(f"{listing(self.people[i] for i in order)}.")
        chairs = list(range(1, len(order) + 1))
        if pen.chance(0.3):
            chairs.reverse()
        total = self._place(pen, order, chairs, {}, 0)
        pen.step(
            f"[All choices are used up|That was the last branch|Nothing else is open]. [In total|So I count] {total}."
        )
        return total

    def _place(self, pen: Pen, order: list[int], free: list[int], seated: dict[str, int], found: int) -> int:
        person = order[len(seated)]
        who = self.people[person]
        allowed = [chair for chair in free if chair not in self.refused[person]]
        where = listing(f"{name} [on|on|at] {chair}" for name, chair in seated.items()) or "nobody seated"
        if not allowed:
            pen.say(
                f"{DEAD}[with {where}, {who} has no chair|{who} cannot sit anywhere, given {where}]. "
                "[Back.|Undo that.|]"
            )
            return found
        if len(free) == 1:
            found = pen.reckon(found + 1)
            pen.say(
                f"[[With|Given] {where}|As things stand|Now|So], "
                f"[{who} gets|it leaves {who}|what is left for {who} is] {free[0]}."
            )
            pen.say(
                "[That works|Good|Yes|Fine|Allowed|It fits]: "
                f"[{found} now|number {found}|this is seating {found}|count {found}]."
            )
            return found
        pen.say(
            f"[[With|Given|Having] {where}|As it is|Now], {who} [could|can|may] [have|take|sit on] "
            f"{listing(allowed, 'or')}."
        )
        for turn, chair in enumerate(allowed):
            pen.attempt(f"[give {who} {chair}|put {who} on {chair}|try {chair} for {who}].", first=turn == 0)
            rest = [other for other in free if other != chair]
            found = self._place(pen, order, rest, {**seated, who: chair}, found)
        return found
