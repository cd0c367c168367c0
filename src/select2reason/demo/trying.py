"""Questions answered by trying one candidate after the other: integer roots, given remainders, prime factors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import gcd, isqrt, prod
from random import Random
from typing import ClassVar, Self

from select2reason.demo.prose import DEAD, Pen, listing, plural, polynomial


@dataclass(frozen=True, slots=True)
class Roots:
    """A polynomial whose roots are all integers: its largest root, its smallest, or the gap between them."""

    category: ClassVar[str] = "Algebra"
    roots: tuple[int, ...]
    wanted: str

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        degree, reach = ((2, 7), (2, 14), (3, 12), (4, 11), (5, 13))[level - 1]
        pool = [x for x in range(-reach, reach + 1) if x]
        return cls(tuple(sorted(rng.sample(pool, degree))), rng.choice(["largest", "smallest", "gap"]))

    def ask(self, rng: Random) -> str:
        name = rng.choice("PQfgh")
        target = {
            "largest": "[largest root|greatest solution|largest of its zeros]",
            "smallest": "[smallest root|least solution|smallest of its zeros]",
            "gap": "[difference between largest and smallest root|distance from least to greatest zero]",
        }[self.wanted]
        poly = polynomial(self.coefficients())
        forms = [
            f"All [roots|zeros] of ${name}(x) = {poly}$ are integers. [Find|Determine|Compute] the {target}.",
            f"[Consider|Look at] the equation $${poly} = 0,$$ [which has only integer solutions"
            f"|whose solutions are whole numbers]. [What is the {target}?|Give the {target}.]",
            f"The graph of $y = {poly}$ meets the $x$-axis in {len(self.roots)} points, all with integer "
            f"coordinates. [Compute|Find] the {target}.",
            f"[Suppose|It is known] that ${name}(x) = {poly}$ splits into linear factors over the integers. "
            f"[What is the {target}?|Find the {target}.]",
        ]
        return rng.choice(forms)

    def coefficients(self) -> list[int]:
        """Leading coefficient (1) first."""
        poly = [1]
        for root in self.roots:
            poly = [a - root * b for a, b in zip([*poly, 0], [0, *poly], strict=True)]
        return poly

    @property
    def answer(self) -> int:
        return _asked(self.roots, self.wanted)

    def solve(self, pen: Pen) -> int:
        poly = self.coefficients()
        pen.step(f"[So I have|I need the roots of|Let me look at] ${polynomial(poly)}$. [It is monic, so every|Every]")
        pen.say(f"integer root divides the constant term {poly[-1]}. [I will just try them.|Let me try divisors.]")
        found: list[int] = []
        for tries, x in enumerate(_candidates(pen, abs(poly[-1]))):
            while len(poly) > 1 and poly[-1] % x == 0:
                row = _horner(pen, poly, x, first=tries == 0)
                if row[-1]:
                    break
                found.append(x)
                poly = row[:-1]
                _divide_out(pen, poly, x)
        pen.step(f"[The roots I found are|So the roots are|Altogether:] {listing(sorted(found) or ['none'])}.")
        if pen.verifies():
            pen.say("[Check by Vieta|Alternatively, check the constant term]: the product of the roots is")
            pen.say(f"{prod(found)}, [as the sign and the constant term demand|and that fits].")
        return _asked(found or [0], self.wanted)


def _asked(roots: list[int] | tuple[int, ...], wanted: str) -> int:
    return {"largest": max(roots), "smallest": min(roots), "gap": max(roots) - min(roots)}[wanted]


def _candidates(pen: Pen, constant: int) -> list[int]:
    sizes = [d for d in range(1, 1 + min(constant, 20)) if constant % d == 0]
    signs = pen.rng.choice([(1, -1), (-1, 1)])
    if pen.chance(0.5):
        pen.say("[Both signs of each|Small ones first, with either sign].")
        return [sign * size for size in sizes for sign in signs]
    pen.say(f"[First|I begin with] the {'positive' if signs[0] > 0 else 'negative'} ones.")
    return [sign * size for sign in signs for size in sizes]


def _horner(pen: Pen, poly: list[int], x: int, *, first: bool) -> list[int]:
    """The row of Horner's scheme: the quotient by (t - x), then the value at x."""
    row = poly[:1]
    for coefficient in poly[1:]:
        row.append(row[-1] * x + coefficient)
    value = pen.reckon(abs(row[-1])) * (1 if row[-1] >= 0 else -1)
    shown = listing([*row[:-1], value])
    pen.attempt(f"[try|test|put in] $x = {x}$. [Horner|The scheme] gives {shown}.", first=first)
    if value:
        pen.say(f"{DEAD}[that is {value}, not zero|the value {value} is not 0|{x} is no root].")
    return [*row[:-1], value]


def _divide_out(pen: Pen, poly: list[int], x: int) -> None:
    pen.say(f"[Yes, {x} is a root!|Zero, so {x} works.|There it is: {x} is a root.]")
    if len(poly) > 1:
        pen.say(f"[What remains is|Dividing it out leaves|The other factor is] ${polynomial(poly)}$.")


@dataclass(frozen=True, slots=True)
class Remainders:
    """The smallest positive n that leaves given remainders on division by pairwise coprime numbers."""

    category: ClassVar[str] = "Number Theory"
    moduli: tuple[int, ...]
    remainders: tuple[int, ...]

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        size, low, high = ((2, 4, 11), (2, 8, 20), (3, 6, 19), (3, 20, 40), (4, 24, 61))[level - 1]
        moduli: list[int] = []
        while len(moduli) < size:
            m = rng.randint(low, high)
            if all(gcd(m, other) == 1 for other in moduli):
                moduli.append(m)
        n = rng.randrange(max(moduli) + 1, prod(moduli))
        return cls(tuple(moduli), tuple(n % m for m in moduli))

    def ask(self, rng: Random) -> str:
        pairs = list(zip(self.remainders, self.moduli, strict=True))
        thing = rng.choice(["tiles", "beads", "cards", "walnuts", "stamps", "pebbles", "buttons"])
        multiples = listing(f"$k{f' - {r}' if r else ''}$ is a multiple of ${m}$" for r, m in pairs)
        packed = listing(f"${r}$ over when put in rows of ${m}$" for r, m in pairs)
        system = r", \quad ".join(rf"n \equiv {r} \pmod{{{m}}}" for r, m in pairs)
        forms = [
            "[Find|Determine] the [smallest|least] positive integer that leaves "
            f"{listing(f'remainder ${r}$ on division by ${m}$' for r, m in pairs)}.",
            f"[Solve for the least $n > 0$|Find the smallest $n \\ge 1$]: $${system}.$$",
            f"A [box|sack|jar] of {thing} has {packed}. "
            f"[At least how many {thing} are there?|What is the smallest number of {thing} that it can hold?]",
            f"[A whole number|Some positive integer] $k$ is such that "
            f"{multiples}. [What is the least such $k$?|Find the smallest one.]",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        n, period = 0, 1
        for m, r in zip(self.moduli, self.remainders, strict=True):
            n = next(n + k * period for k in range(m) if (n + k * period) % m == r)
            period *= m
        return n

    def solve(self, pen: Pen) -> int:
        pairs = list(zip(self.moduli, self.remainders, strict=True))
        pen.rng.shuffle(pairs)
        n, period = pairs[0][1], pairs[0][0]
        pen.step("[Okay, I need one number that satisfies them all|So there are several conditions at once].")
        pen.say(f"[I start from the modulus {period}|Take {period} first]: n is {n} plus a multiple of {period}.")
        for m, r in pairs[1:]:
            n = _sieve(pen, n, period, m, r)
            period *= m
            pen.say(f"[So far n = {n}|Keep {n}|That gives {n}], [repeating every {period}|with period {period}].")
        if pen.verifies():
            checks = listing(f"{n} = {n // m} * {m} + {n % m}" for m, _ in pairs)
            pen.step(f"[Check|Let me verify|Alternatively, divide directly]: {checks}. [All fit.|Good.|Correct.]")
        return n


def _sieve(pen: Pen, n: int, period: int, m: int, r: int) -> int:
    """The first of n, n + period, ... that leaves r modulo m. After a slip it may take a second round to show up."""
    pen.step(f"[Now|Next] I [want|need] remainder {r} modulo {m}. [Candidates|The numbers] go up by {period}.")
    for tries in range(2 * m):
        left = pen.reckon(n % m)
        if left == r:
            pen.say(f"[And {n} leaves {left}, yes!|{n}: remainder {left}, which is it.|Then {n} leaves exactly {r}.]")
            return n
        if tries % 4 == 3:
            where = f"[go on with|try|look at] {n}: [it leaves {left}|remainder {left}], [but |wait, |]not {r}."
            pen.attempt(where, first=False)
        else:
            pen.say(
                f"[{n} leaves {left}[, not {r}|]|{n} is {n // m} times {m} plus {left}|For {n} I get {left}"
                f"|[Then|And|Also] {n} [has|gives] [remainder |]{left}|{n} = {n // m} * {m} + {left}[, no|]"
                f"|{n} is {left} above a multiple|With {n} it is {left}[, not it|]]."
            )
        n += period
    return n


@dataclass(frozen=True, slots=True)
class Divisors:
    """How many divisors a number has, or their sum, by way of its factorisation."""

    category: ClassVar[str] = "Number Theory"
    number: int
    wanted: str

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        small = rng.choice([2, 3, 4, 6, 9, 10, 12])
        low, high = ((5, 20), (13, 50), (40, 110), (100, 230), (200, 420))[level - 1]
        primes = [p for p in range(low, high) if _is_prime(p)]
        return cls(small * prod(rng.sample(primes, 1 + (level > 1))), rng.choice(["number", "sum"]))

    def ask(self, rng: Random) -> str:
        n = f"${self.number}$"
        plant = rng.choice(["seeds", "bulbs", "saplings", "vines"])
        forms = {
            "number": [
                f"How many [positive divisors|positive factors|divisors greater than zero] does {n} have?",
                "[Count the|Find the number of] [ordered pairs of positive integers $(a, b)$"
                f"|pairs $(x, y)$ of positive integers] [whose product is {n}|with product equal to {n}].",
                f"A [gardener|farmer|forester] [wants to plant|is planting] {n} "
                f"{plant} in equal rows; a single row is fine, and so are rows of one. "
                "[How many row lengths are possible?|Count the possible numbers of rows.]",
                f"For how many positive integers $k$ is ${self.number}/k$ [an integer|a whole number]?",
                f"[Let $d(n)$ count|Write $d(n)$ for the number of] the positive divisors of $n$. [Evaluate|Find] "
                f"$d({self.number})$.",
            ],
            "sum": [
                "[Find|Compute|Determine] the sum of all [positive divisors|positive factors] of "
                f"{n}[, itself included|].",
                "[Let $\\sigma(n)$ be|Write $\\sigma(n)$ for] the sum of the positive divisors of $n$. "
                f"[Evaluate|Find] $\\sigma({self.number})$.",
                f"[Every|Each] positive integer that divides {n} [without remainder |]is written on a "
                "[card|tile|ticket]. [What do they add up to?|Find the total of the numbers written.]",
                f"What [is|do you get for] $\\sum_{{d \\mid {self.number}}} d$, taken over positive $d$?",
            ],
        }
        return rng.choice(forms[self.wanted])

    @property
    def answer(self) -> int:
        small = [d for d in range(1, isqrt(self.number) + 1) if self.number % d == 0]
        divisors = {*small, *(self.number // d for d in small)}
        return len(divisors) if self.wanted == "number" else sum(divisors)

    def solve(self, pen: Pen) -> int:
        pen.step(f"[I need to factor {self.number} first|Okay, the prime factors of {self.number} are what I need].")
        powers = _factor(pen, self.number)
        factored = r" \cdot ".join(f"{p}^{{{e}}}" for p, e in powers)
        pen.step(f"[So|Altogether] ${self.number} = {factored}$.")
        if self.wanted == "number":
            factors = [pen.reckon(e + 1) for _, e in powers]
            pen.say(
                "[Each exponent plus one counts the choices for its prime|A divisor takes each exponent from 0 up]:"
            )
        else:
            factors = [pen.reckon(sum(p**i for i in range(e + 1))) for p, e in powers]
            pen.say("[The sum is a product over the primes|Each prime gives 1 + p + ... up to its power]:")
        result = pen.reckon(prod(factors))
        product = r" \cdot ".join(map(str, factors))
        pen.say(f"${product} = {result}$.")
        return result


def _factor(pen: Pen, n: int) -> list[tuple[int, int]]:
    powers: list[tuple[int, int]] = []
    tried = 0
    for p in filter(_is_prime, count(2)):
        if p * p > n:
            break
        if n % p:
            _fails(pen, n, p, new_step=tried % 3 == 0)
            tried += 1
            continue
        exponent = 0
        while n % p == 0:
            n, exponent = pen.reckon(n // p), exponent + 1
        powers.append((p, exponent))
        works = f"[yes, it divides|that works], {plural(exponent, 'time')}, [leaving|down to] {n}"
        pen.attempt(f"[try|take] {p}: {works}.", first=p == 2)
    if n > 1:
        pen.step(f"[Nothing below its square root divides {n}|{n} has no smaller factor left], so {n} is prime.")
        powers.append((n, 1))
    return powers


def _fails(pen: Pen, n: int, p: int, *, new_step: bool) -> None:
    near, left = n - n % p, n % p
    text = f"[{p} * {n // p} = {near}, {left} short|{near} is a multiple, {left} is left|{n} leaves {left} modulo {p}]"
    if new_step:
        pen.attempt(f"[test|check|consider] {p}: {text}.", first=p == 2)
        pen.say(f"{DEAD}[{p} is out|{p} does not divide it|not {p}].")
    else:
        pen.say(f"[And {p}|For {p}|With {p}]: {text}[, so no|, fails|, no luck|].")


def _is_prime(n: int) -> bool:
    return all(n % d for d in range(2, isqrt(n) + 1))
