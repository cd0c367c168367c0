"""Questions that are worked out rather than searched: a chain of operations, and a large power modulo a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Self

from select2reason.demo.prose import DEAD, Pen, listing

Move = tuple[str, int]

_ORDERS = {
    "+": "[add {n}|increase it by {n}]",
    "-": "[subtract {n}|take away {n}]",
    "*": "multiply [the result |]by {n}",
    "%": "[keep only the remainder on division by {n}|reduce it modulo {n}]",
}
_SIGNS = {"+": "{x} + {n}", "-": "{x} - {n}", "*": r"{n} \cdot {x}", "%": r"{x} \bmod {n}"}


@dataclass(frozen=True, slots=True)
class Chain:
    """Do one operation after the other; what number comes out?"""

    category: ClassVar[str] = "Arithmetic"
    start: int
    moves: tuple[Move, ...]

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        start = value = rng.randint(12, 20 + 60 * level)
        moves: list[Move] = []
        while len(moves) < 2 * level:
            sign = "*" if not moves else "%" if value > 40 * 15**level else rng.choice("+-*")
            n = rng.randint(20 * level, 99 * level) if sign == "%" else rng.randint(3, 9 + 11 * level)
            if sign != "-" or value > n:
                moves.append((sign, n))
                value = _apply(value, moves[-1])
        return cls(start, tuple(moves))

    def ask(self, rng: Random) -> str:
        orders = [_ORDERS[sign].format(n=n) for sign, n in self.moves]
        terms = [f"$a_0 = {self.start}$"] + [
            f"$a_{{{i + 1}}} = {_SIGNS[sign].format(x=f'a_{{{i}}}', n=n)}$" for i, (sign, n) in enumerate(self.moves)
        ]
        name = rng.choice(["Ines", "Tomasz", "Wren", "Farid", "Okello", "Sunniva", "Beatriz"])
        forms = [
            f"[Start|Begin] with ${self.start}$, then {listing(orders, 'and finally')}. "
            "[What number do you end with?|Which number results?|Find the final value.]",
            f"Let {listing(terms)}[, where $u \\bmod v$ is the remainder of $u$ on division by $v$|]. "
            f"[Compute|Find|Determine] $a_{{{len(self.moves)}}}$.",
            f"{name} writes ${self.start}$ on [a board|a slip of paper|the first line of a page] and is told, "
            f"in this order, to {listing(orders)}. [What does {name} have at the end?|Give the last number written.]",
            f"A counter shows ${self.start}$. [Its buttons are pressed so as to|A program makes it] "
            f"{listing(orders, 'and then')}. [What does it show now?|What is displayed afterwards?]",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        value = self.start
        for move in self.moves:
            value = _apply(value, move)
        return value

    def solve(self, pen: Pen) -> int:
        pen.step(
            "[Okay, this is a chain of|Let me just carry out the|I need to do these] operations[, one at a time|]."
        )
        pen.say(f"[I start from|We start with|The first number is] {self.start}.")
        value = self.start
        for sign, n in self.moves:
            value = _carry_out(pen, value, sign, n)
        pen.step(f"[That was the last operation|Nothing more is asked|The chain ends here], [so|and] I have {value}.")
        return value


def _apply(value: int, move: Move) -> int:
    sign, n = move
    return {"+": value + n, "-": value - n, "*": value * n, "%": value % n}[sign]


def _carry_out(pen: Pen, value: int, sign: str, n: int) -> int:
    if sign == "*":
        return _multiply(pen, value, n)
    if sign == "%":
        return _remainder(pen, value, n)
    result = pen.reckon(_apply(value, (sign, n)))
    verb = "[Adding|Now add|Then comes plus]" if sign == "+" else "[Subtracting|Take away|Now minus]"
    pen.step(f"{verb} {n}: [this is |that gives |]${value} {sign} {n} = {result}$.")
    return result


def _multiply(pen: Pen, a: int, b: int) -> int:
    pen.step(f"[Now|Next I need|Then comes] the product ${a} \\times {b}$.")
    digits = [int(digit) * 10**place for place, digit in enumerate(reversed(str(b))) if digit != "0"]
    parts = [pen.reckon(a * part) for part in reversed(digits)]
    total = pen.reckon(sum(parts))
    if len(parts) > 1:
        pen.say(f"[Split|I split|Break up] ${b}$ [by its digits|into {listing(reversed(digits))}]:")
        pen.say(", ".join(f"${a} \\times {d} = {p}$" for d, p in zip(reversed(digits), parts, strict=True)) + ".")
    pen.say(f"[Together|In all|So the product is] ${total}$.")
    if pen.verifies():
        pen.step(f"[Wait, let me check|Maybe I should check] that by casting out nines: {a} leaves {a % 9},")
        pen.say(f"{b} leaves {b % 9}, [so the product must leave|which makes] {a * b % 9}, [and|where] {total} leaves")
        pen.say(f"{total % 9}. [Good.|That agrees.|Fine.]")
    return total


def _remainder(pen: Pen, value: int, n: int) -> int:
    """Long division the human way: guess each digit from the leading figures, and go down when it is too much."""
    pen.step(f"[Now divide|I have to divide] {value} by {n} [and keep what is left|, only the remainder matters].")
    while value >= n:
        unit = n * 10 ** (len(str(value // n)) - 1)
        lead = int(str(n)[:2]) * 10 ** (len(str(unit)) - 2)
        guess = min(9, value // lead)
        while guess * unit > value:
            pen.step(f"[Maybe|Perhaps|Is it] {guess} times {unit}? That is {guess * unit}.")
            pen.say(f"{DEAD}[this is more than {value}|too much against {value}], [one fewer|so go one lower].")
            guess -= 1
        rest = pen.reckon(value - guess * unit)
        pen.step(f"[Take|Use|So] {guess} times {unit}, which is {guess * unit}; [{rest} is left|that leaves {rest}].")
        value = rest
    pen.say(f"[That is below {n}, so the remainder is {value}.|And {value} is smaller than {n}: done.]")
    return value


@dataclass(frozen=True, slots=True)
class Powers:
    """The remainder of a large power: walk the powers until they repeat, or square again and again."""

    category: ClassVar[str] = "Number Theory"
    base: int
    exponent: int
    modulus: int

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        low, high = ((5, 14), (13, 32), (31, 70), (71, 140), (141, 290))[level - 1]
        while True:
            modulus = rng.randint(low, high)
            powers = cls(rng.randint(2, modulus - 2), rng.randint(10**level, 8 * 10**level), modulus)
            if len({pow(powers.base, e, modulus) for e in range(modulus)}) > low // 5:
                return powers

    def ask(self, rng: Random) -> str:
        power = f"{self.base}^{{{self.exponent}}}"
        forms = [
            f"[Find|Determine|Give] the remainder [of ${power}$ on division|when ${power}$ is divided] by "
            f"${self.modulus}$.",
            f"[Compute|Evaluate] ${power} \\bmod {self.modulus}$.",
            f"[Let|Suppose that] $0 \\le r < {self.modulus}$ and $r \\equiv {power} \\pmod{{{self.modulus}}}$. "
            "[Find $r$.|What is $r$?|Which number is $r$?]",
            f"A wheel has {self.modulus} positions, numbered from 0. It starts at 1, and each turn multiplies its "
            f"position by {self.base} [around the wheel|modulo {self.modulus}]. Where is it after {self.exponent} "
            "turns?",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        return pow(self.base, self.exponent, self.modulus)

    def solve(self, pen: Pen) -> int:
        pen.step(f"[Okay, I want|We need|So the task is] ${self.base}^{{{self.exponent}}}$ modulo {self.modulus}.")
        methods: list[Callable[[Pen], int]] = [self._walk, self._square]
        if pen.chance(0.35):
            methods.reverse()
        result = methods[0](pen)
        if pen.verifies():
            pen.step("Alternatively, [let me do it in another way|the other method is a good check|maybe do it again].")
            result = methods[1](pen)
            pen.say("[The two agree.|Same as before, good.|It matches the first way.]")
        return result

    def _walk(self, pen: Pen) -> int:
        pen.say("[I write down powers until they repeat.|Maybe the powers repeat soon.|Let me look for a cycle.]")
        value, seen = self.base % self.modulus, [1]
        while value not in seen:
            seen.append(value)
            following = pen.reckon(value * self.base % self.modulus)
            novel = "" if following in seen else "[||||, a new one|, not seen so far|, new again|, still no repetition]"
            sentence = self._multiplied(value, following) + novel
            if len(seen) % 5 == 2:
                pen.step(f"[Exponent|Power|For exponent|Number] {len(seen)}[:|,] {sentence}.")
            else:
                pen.say(f"[Then |Next |And |Now ||||So ]{len(seen)}[:|:|,] {sentence}.")
            value = following
        start = seen.index(value)
        period = len(seen) - start
        place = (self.exponent - start) % period + start
        pen.step(f"[Wait, {value} was there before|But {value} is not new|However, {value} has come already]:")
        pen.say(f"[it stood at exponent {start}|exponent {start} had it], so the period is {period}.")
        result = pen.reckon(seen[place])
        pen.say(f"[The exponent {self.exponent} falls on place {place}|{self.exponent} reduces to {place}],")
        pen.say(f"[where the list has {result}|and that power is {result}].")
        return result

    def _multiplied(self, value: int, following: int) -> str:
        product = value * self.base
        return (
            f"[{value} * {self.base} = {product}|{value} times {self.base} is {product}"
            f"|multiplying {value} by {self.base} gives {product}|from {value} I get {product}"
            f"|{self.base} times {value}, that is {product}|{product} after another factor {self.base}], "
            f"[so {following}|remainder {following}|{following} is left|which leaves {following}|and {following} stays"
            f"|that is {following}]"
        )

    def _square(self, pen: Pen) -> int:
        bits = f"{self.exponent:b}"
        pen.say(
            f"[In binary|Written in base 2] the exponent is {bits}. [I square for each digit|So square and multiply]."
        )
        value = self.base % self.modulus
        for place, bit in enumerate(bits[1:], 2):
            square = pen.reckon(value * value % self.modulus)
            pen.step(f"[Squaring {value}|{value} squared|Square of {value}], [for|up to|now at] ${bits[:place]}_2$:")
            pen.say(f"{value * value}, [that is|leaving|so] {square}.")
            value = square
            if bit == "1":
                value = pen.reckon(square * self.base % self.modulus)
                pen.say(
                    f"[The digit is 1, so times {self.base}|Times {self.base} too]: {square * self.base}, so {value}."
                )
        return value
