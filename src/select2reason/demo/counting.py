"""Questions answered by an orderly count: lattice paths around holes, and integer triangles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from random import Random
from typing import ClassVar, Self

from select2reason.demo.prose import DEAD, Pen, listing, plural

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Paths:
    """Shortest lattice paths from (0, 0) to (width, height) that keep off some points."""

    category: ClassVar[str] = "Combinatorics"
    width: int
    height: int
    holes: tuple[Point, ...]

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        while True:
            width, height = level + rng.randint(1, 3), level + rng.randint(1, 2)
            inner = [(x, y) for x in range(width + 1) for y in range(height + 1) if 0 < x + y < width + height]
            paths = cls(width, height, tuple(sorted(rng.sample(inner, 1 + (level + 1) // 2))))
            if paths.answer > level:
                return paths

    def ask(self, rng: Random) -> str:
        holes = listing(f"$({x}, {y})$" for x, y in self.holes)
        w, h = self.width, self.height
        who = rng.choice(["ant", "robot", "beetle", "courier", "token", "snail"])
        forms = [
            f"[A path|A walk|A lattice path] from $(0, 0)$ to $({w}, {h})$ [goes|moves|proceeds] one unit right or "
            f"one unit up at each step. [How many such paths|In how many ways can it] avoid {holes}?",
            f"[A|Some] town has straight streets, {w + 1} running north and {h + 1} running east. "
            "[Counting crossings from the south-west corner $(0, 0)$|With the south-west crossing as $(0, 0)$], "
            f"those at {holes} are [closed|blocked]. Find the number of shortest routes [that lead |]to crossing "
            f"$({w}, {h})$.",
            f"Some {who} [crawls|moves|goes] along the lines of a ${w} \\times {h}$ grid from the lower left to the "
            "upper right corner, only to the right and upwards. [Drops of glue lie|Traps are set|Holes gape] at "
            f"{holes}, as (column, row) from 0. [How many ways are safe?|Count the ways that miss them.]",
            f"How many words of ${w}$ letters R and ${h}$ letters U, read as steps right and up from the origin, "
            f"[never visit|do not pass through] {holes}?",
            f"A {who} at the origin [wants|has] to reach $({w}, {h})$ in {w + h} unit steps[, east or north|]. It "
            f"must not [enter|touch] {holes}. [In how many ways can it go?|How many routes does it have?]",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        ways = {(0, 0): 1}
        for x in range(self.width + 1):
            for y in range(self.height + 1):
                if x + y:
                    ways[x, y] = 0 if (x, y) in self.holes else ways.get((x - 1, y), 0) + ways.get((x, y - 1), 0)
        return ways[self.width, self.height]

    def solve(self, pen: Pen) -> int:
        pen.step(
            "[Okay, I count paths|We need to count|So these are monotone paths] [with forbidden points|with holes]."
        )
        methods: list[Callable[[Pen], int]] = [self._by_rows, self._by_detours]
        if pen.chance(0.25):
            methods.reverse()
        result = methods[0](pen)
        if pen.verifies():
            pen.step("Alternatively, [another count as a check|do it the other way|maybe a second method tells].")
            result = methods[1](pen)
            pen.say("[The same number.|Both agree.|Good, that matches.]")
        return result

    def _by_rows(self, pen: Pen) -> int:
        pen.say(
            "[I fill a table row by row|Let me go up one row at a time]; [each point adds left and below|add as usual]."
        )
        row = [0] * (self.width + 1)
        row[0] = 1
        for y in range(self.height + 1):
            pen.step(f"[Row {y}|Now y = {y}|On height {y}|The row at height {y}]:")
            for x in range(self.width + 1):
                row[x] = self._point(pen, x, y, row[x], row[x - 1] if x else 0)
        return row[-1]

    def _point(self, pen: Pen, x: int, y: int, below: int, left: int) -> int:
        if (x, y) in self.holes:
            pen.step(f"{DEAD}[({x}, {y}) is a hole|the point ({x}, {y}) is closed], so [nothing|0] there.")
            return 0
        if not (left and below):
            pen.say(
                f"[({x}, {y}) has {left + below}|{left + below} at ({x}, {y})"
                f"|[then|and|next] {left + below} for ({x}, {y})]."
            )
            return left + below
        total = pen.reckon(below + left)
        pen.say(
            f"[[at|for|now|next] ({x}, {y})[:|,]|[point |the point |]({x}, {y}) [gets|has|receives]|({x}, {y})[:|,]]"
        )
        pen.say(
            f"[{left} + {below} = {total}|{left} and {below}, so {total}|{total}, from {left} and {below}][.|.|, fine."
            "|.]"
        )
        return total

    def _by_detours(self, pen: Pen) -> int:
        """Sort paths by the first forbidden point they meet."""
        pen.say(
            "[All paths, less those that meet a hole|Subtract the bad ones], "
            "[sorted by the first hole met|hole by hole]."
        )
        first: dict[Point, int] = {}
        for x, y in [*sorted(self.holes), (self.width, self.height)]:
            total = pen.reckon(comb(x + y, x))
            pen.step(f"[To|Up to|Reaching] ({x}, {y}) there are $\\binom{{{x + y}}}{{{x}}} = {total}$ [free |]paths.")
            for (u, v), ways in first.items():
                if u <= x and v <= y:
                    bad = pen.reckon(ways * comb(x - u + y - v, x - u))
                    total -= bad
                    pen.say(
                        f"{DEAD}{bad} of [them|those] [meet|run into] ({u}, {v}) first, "
                        f"[{total} left|so {total} remain]."
                    )
            first[x, y] = total
        return first[self.width, self.height]


@dataclass(frozen=True, slots=True)
class Triangles:
    """Integer triangles of a given perimeter, no side below a least one, that are acute, or obtuse."""

    category: ClassVar[str] = "Geometry"
    perimeter: int
    least: int
    wanted: str

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        low, high = ((11, 21), (22, 33), (34, 46), (47, 60), (61, 80))[level - 1]
        while True:
            triangles = cls(rng.randint(low, high), rng.randint(1, 4), rng.choice(["acute", "obtuse"]))
            if triangles.answer:
                return triangles

    def ask(self, rng: Random) -> str:
        p, least, kind = self.perimeter, self.least, self.wanted
        thing = rng.choice(["wire", "string of beads", "length of fence", "rope", "strip of paper", "rubber tube"])
        unit = rng.choice(["cm", "mm", "inches", "feet", "metres"])
        forms = [
            f"How many [non-congruent|different|essentially different] {kind}[-angled|] triangles with "
            f"[integer|whole-number] sides[, none below ${least}$,| of at least ${least}$] have perimeter ${p}$?",
            f"[Let ${least} \\le a \\le b \\le c$ be whole numbers|Integers ${least} \\le a \\le b \\le c$ are given] "
            f"with [$a + b + c = {p}$|sum ${p}$]. [For how many triples is the triangle with these sides {kind}?"
            f"|In how many cases do they form an {kind} triangle?|Count the {kind} triangles among them.]",
            f"A {thing}, {p} {unit} long, is [bent into|laid out as] an {kind} triangle whose sides are "
            f"[a whole number of {unit}|whole numbers in {unit}], the shortest [at least|not under] {least}. How many "
            "[shapes|triangles] are possible[, mirror images counting once|, not counting the same shape twice|]?",
            f"[Find|Determine|Work out] the number of {kind} triangles, up to congruence, "
            f"whose [three sides|side lengths] are integers [not less than|from] ${least}$ "
            f"[on |][that add up to|and sum to] ${p}$.",
            f"Three sticks with lengths in whole {unit}, none shorter than {least}, [are to measure|measure] {p} "
            f"{unit} together and [form|make] an {kind} triangle. [How many choices of the lengths are there?"
            "|In how many ways can the lengths be chosen, the order aside?]",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        sign = 1 if self.wanted == "acute" else -1
        return sum(sign * (a * a + b * b - c * c) > 0 for c in self._longest() for a, b in self._shorter(c))

    def solve(self, pen: Pen) -> int:
        pen.step(
            f"[So I need|Okay, I look for] ${self.least} \\le a \\le b \\le c$ with sum {self.perimeter}, $a + b > c$."
        )
        pen.say(f"[It is {self.wanted} when|For {self.wanted} I need] $a^2 + b^2 {self._sign()} c^2$.")
        longest = list(self._longest())
        if pen.chance(0.5):
            longest.reverse()
        pen.say(f"[Thus|So] c goes from {longest[0]} to {longest[-1]}.")
        found = 0
        for c in longest:
            found = self._with_longest(pen, c, found)
        pen.step(f"[No other c is possible|That covers every c], [so the count is|and there are] {found}.")
        return found

    def _sign(self) -> str:
        return ">" if self.wanted == "acute" else "<"

    def _longest(self) -> range:
        return range(-(-self.perimeter // 3), (self.perimeter - 1) // 2 + 1)

    def _shorter(self, c: int) -> list[Point]:
        rest = self.perimeter - c
        return [(rest - b, b) for b in range(c, (rest - 1) // 2, -1) if self.least <= rest - b <= b]

    def _with_longest(self, pen: Pen, c: int, found: int) -> int:
        pairs = self._shorter(c)
        longest = f"[take c = {c}|make the longest side {c}|look at c = {c}]"
        pen.attempt(f"{longest}: [a + b is|then the others make]", first=True)
        pen.say(
            f"{self.perimeter - c}, [which gives|so I have] {plural(len(pairs), 'pair')}; [the square is|c^2 =] "
            f"{c * c}."
        )
        for a, b in pairs:
            squares = a * a + b * b
            good = squares > c * c if self.wanted == "acute" else squares < c * c
            pen.say(
                f"[({a}, {b})|{a} and {b}|Sides {a}, {b}|The pair {a}, {b}|Then {a} with {b}|Now ({a}, {b})"
                f"|For {a} and {b}][: {a * a} + {b * b} = {squares}|: the squares add up to {squares}"
                f"|: {a * a} and {b * b} make {squares}|, where {a * a} + {b * b} is {squares}"
                f"|: {squares}, from {a * a} and {b * b}],"
            )
            if good:
                found = pen.reckon(found + 1)
                pen.say(
                    "[so yes|it counts|good|so it is in|that will do|it is one], "
                    f"[{found} so far|number {found}|making {found}|{found} now]."
                )
            else:
                pen.say(
                    "[so no|not this|so it is out|it fails|strike it|no good|which does not do|wrong side"
                    "|not what I want]."
                )
        return found
