"""The questions of the demo pool: every gold answer found again by brute force, every search checked against it."""

from __future__ import annotations

import operator
from collections import Counter, deque
from collections.abc import Callable
from functools import reduce
from itertools import combinations, permutations
from math import prod
from random import Random
from statistics import median
from typing import Any

import numpy as np
import pytest

from select2reason.demo.backtracking import Queens, Seating, Subsets
from select2reason.demo.calculating import Chain, Powers
from select2reason.demo.counting import Paths, Triangles
from select2reason.demo.generations import Kind, generate
from select2reason.demo.prose import Pen, spin
from select2reason.demo.questions import FAMILIES, Puzzle, draw_puzzle
from select2reason.demo.shortest import Coins, Jugs
from select2reason.demo.trying import Divisors, Remainders, Roots

LEVELS = range(1, 6)


def brute_chain(p: Chain) -> int:
    does = {"+": operator.add, "-": operator.sub, "*": operator.mul, "%": operator.mod}
    return int(reduce(lambda value, move: does[move[0]](value, move[1]), p.moves, p.start))


def brute_powers(p: Powers) -> int:
    value = 1
    for _ in range(p.exponent):
        value = value * p.base % p.modulus
    return value


def brute_roots(p: Roots) -> int:
    roots = [x for x in range(-40, 41) if reduce(lambda value, c: value * x + c, p.coefficients(), 0) == 0]
    return {"largest": roots[-1], "smallest": roots[0], "gap": roots[-1] - roots[0]}[p.wanted]


def brute_remainders(p: Remainders) -> int:
    fits = np.ones(prod(p.moduli), np.bool_)
    for m, r in zip(p.moduli, p.remainders, strict=True):
        fits &= np.arange(len(fits)) % m == r
    (n,) = np.flatnonzero(fits)
    return int(n)


def brute_divisors(p: Divisors) -> int:
    candidates = np.arange(1, p.number + 1)
    divisors = candidates[p.number % candidates == 0]
    return len(divisors) if p.wanted == "number" else int(divisors.sum())


def brute_paths(p: Paths) -> int:
    steps = p.width + p.height
    walks = ([(sum(i < at for i in ups)) for at in range(steps + 1)] for ups in combinations(range(steps), p.height))
    return sum(not any((at - y, y) in p.holes for at, y in enumerate(walk)) for walk in walks)


def brute_triangles(p: Triangles) -> int:
    sides = range(p.least, p.perimeter)
    triples = [(a, b, p.perimeter - a - b) for a in sides for b in sides]
    real = [(a, b, c) for a, b, c in triples if a <= b <= c < a + b]
    if p.wanted == "acute":
        return sum(a * a + b * b > c * c for a, b, c in real)
    return sum(a * a + b * b < c * c for a, b, c in real)


def brute_subsets(p: Subsets) -> int:
    ways = Counter({0: 1})
    for weight in p.weights:
        ways += Counter({total + weight: number for total, number in ways.items()})
    return ways[p.target]


def brute_queens(p: Queens) -> int:
    def fine(columns: tuple[int, ...]) -> bool:
        free = not any((row, column) in p.broken for row, column in enumerate(columns, 1))
        up, down = ({c + s * row for row, c in enumerate(columns)} for s in (1, -1))
        return free and len(up) == len(down) == p.size

    return sum(map(fine, permutations(range(1, p.size + 1))))


def brute_seating(p: Seating) -> int:
    ways = {frozenset[int](): 1}
    for refused in p.refused:
        grown: Counter[frozenset[int]] = Counter()
        for taken, number in ways.items():
            for chair in set(range(1, len(p.people) + 1)) - taken - set(refused):
                grown[taken | {chair}] += number
        ways = dict(grown)
    return sum(ways.values())


def brute_coins(p: Coins) -> int:
    sums, number = {0}, 0
    while p.amount not in sums:
        sums, number = {total + coin for total in sums for coin in p.coins if total + coin <= p.amount}, number + 1
    return number


def brute_jugs(p: Jugs) -> int:
    start = (0,) * len(p.sizes)
    seen, queue = {start}, deque([(start, 0)])
    while queue:
        state, moves = queue.popleft()
        if p.target in state:
            return moves
        for i, size in enumerate(p.sizes):
            for j in (None, *range(len(p.sizes))):
                after = list(state)
                if j is None:
                    after[i] = 0
                elif j == i:
                    after[i] = size
                else:
                    after[j] = min(p.sizes[j], state[i] + state[j])
                    after[i] = state[i] + state[j] - after[j]
                if (new := tuple(after)) not in seen:
                    seen.add(new)
                    queue.append((new, moves + 1))
    raise AssertionError("unreachable")


BRUTE: dict[type[Puzzle], Callable[[Any], int]] = {
    Chain: brute_chain,
    Powers: brute_powers,
    Roots: brute_roots,
    Remainders: brute_remainders,
    Divisors: brute_divisors,
    Paths: brute_paths,
    Triangles: brute_triangles,
    Subsets: brute_subsets,
    Queens: brute_queens,
    Seating: brute_seating,
    Coins: brute_coins,
    Jugs: brute_jugs,
}
families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)


@families
def test_gold_answers(family: type[Puzzle]) -> None:
    for level in LEVELS:
        for seed in range(2 if level == 5 else 5):
            puzzle = family.make(Random(seed), level)
            assert puzzle.answer == BRUTE[family](puzzle), puzzle


@families
def test_searches_find_the_gold_answer(family: type[Puzzle]) -> None:
    for seed in range(30):
        puzzle = family.make(Random(seed), 1 + seed % 4)
        assert puzzle.solve(Pen(Random(seed + 1))) == puzzle.answer, puzzle


@families
def test_a_slip_makes_the_answer_wrong(family: type[Puzzle]) -> None:
    for seed in range(30):
        puzzle = family.make(Random(seed), 1 + seed % 4)
        wrong = generate(puzzle, Kind.WRONG_ANSWER, Random(seed))
        assert wrong.answer != puzzle.answer
        assert wrong.response.endswith(rf"$\boxed{{{wrong.answer}}}$.")


@families
def test_harder_is_longer(family: type[Puzzle]) -> None:
    words = {}
    for level in LEVELS:
        traces = [generate(family.make(Random(seed), level), Kind.SOUND, Random(seed)) for seed in range(9)]
        words[level] = median(trace.response.count(" ") for trace in traces)
    assert words[1] < words[3] < words[5]
    assert words[5] > 2 * words[1]


@families
def test_the_same_question_is_solved_in_different_ways(family: type[Puzzle]) -> None:
    puzzle = family.make(Random(0), 3)
    assert len({generate(puzzle, Kind.SOUND, Random(seed)).response for seed in range(5)}) == 5


def test_no_question_comes_twice() -> None:
    seen: set[Puzzle] = set()
    rng = Random(3)
    for _ in range(800):
        seen.add(draw_puzzle(rng, seen, hard=False))
    assert len(seen) == 800


def test_spin_settles_nested_choices() -> None:
    texts = {spin("[a[1|2]|b] $[0, 1)$", Random(seed)) for seed in range(50)}
    assert texts == {"a1 $[0, 1)$", "a2 $[0, 1)$", "b $[0, 1)$"}
