"""Questions for the fewest: coins by branch and bound, pourings between jugs by breadth-first search."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from random import Random
from typing import ClassVar, Self

from select2reason.demo.prose import DEAD, Pen, listing, plural

State = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Coins:
    """The fewest coins that make up an amount, where taking the largest first misleads."""

    category: ClassVar[str] = "Logic and Puzzles"
    coins: tuple[int, ...]
    amount: int

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        size, low, high = ((2, 3, 12), (3, 3, 17), (3, 5, 27), (4, 7, 41), (5, 11, 61))[level - 1]
        while True:
            coins = cls(tuple(sorted(rng.sample(range(low, high), size))), rng.randint(4 * low, (2 + level) * high))
            branches = prod(coins.amount // coin + 1 for coin in coins.coins[1:])
            if coins.answer > 2 and branches < 4000:  # more, and a trace may run to 15,000 words
                return coins

    def ask(self, rng: Random) -> str:
        coins, amount = listing(self.coins), self.amount
        money = rng.choice(["florins", "talers", "groats", "crowns", "drams", "pennies"])
        forms = [
            f"[A country|An island|A kingdom] has coins of {coins} {money} only. "
            f"[What is the smallest number of coins|What is the least number of coins] that pay exactly {amount} "
            f"{money}?",
            f"[Let|Suppose that] ${amount} = {' + '.join(f'{c}x_{i + 1}' for i, c in enumerate(self.coins))}$ with "
            "integers $x_i \\ge 0$. [Find the smallest possible|Give the minimum] value of "
            f"${' + '.join(f'x_{i + 1}' for i in range(len(self.coins)))}$.",
            f"[Rods|Planks|Pipes] come in lengths of {coins} cm. A length of exactly {amount} cm is laid without "
            "cutting. [How many pieces are needed at least?|What is the fewest pieces that will do?]",
            f"Stamps of {coins} cents are on sale, as many as you like of each. [Find|Determine] the least number "
            f"of stamps [worth|that come to] {amount} cents exactly.",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        """0 when the amount cannot be paid."""
        fewest = {0: 0}
        for paid in range(1, self.amount + 1):
            ways = [fewest[paid - coin] for coin in self.coins if paid - coin in fewest]
            if ways:
                fewest[paid] = min(ways) + 1
        return fewest.get(self.amount, 0)

    def solve(self, pen: Pen) -> int:
        coins = sorted(self.coins, reverse=True)
        pen.step(f"[Okay, I need {self.amount} from|So {self.amount} is to be made of] {listing(coins, 'or')}.")
        pen.say(f"[First thought: be greedy.|Start with many of {coins[0]}.|Big ones first.]")
        best = self._spend(pen, coins, self.amount, (), None)
        result = pen.reckon(best or 0)
        pen.step(
            f"[Nothing better is left|That exhausts it|Every other branch needs more]. [The minimum is|So] {result}."
        )
        return result

    def _spend(self, pen: Pen, coins: list[int], rest: int, used: State, best: int | None) -> int | None:
        """Branch on how many of the largest coin; give up where even the best case does not beat `best`."""
        coin, count = coins[0], sum(used)
        paid = " + ".join(f"{n} * {c}" for n, c in zip(used, sorted(self.coins, reverse=True), strict=False))
        spent = f"[after|on top of|besides] {paid}" if used else "[at the start|at first]"
        if len(coins) == 1:
            return self._last(pen, coin, rest, used, best)
        for many in range(rest // coin, -1, -1):
            left = pen.reckon(rest - many * coin)
            least = count + many - (-left // coins[1])
            choice = f"[use|try|take] {many or 'none'} of the {coin}s {spent}"
            pen.attempt(f"{choice}: [{left} left|that leaves {left}].", first=many == rest // coin)
            if best is not None and least >= best:
                pen.say(
                    f"{DEAD}[at least {least} coins then|that needs {least} or more], "
                    f"[no better than {best}|and I have {best}]."
                )
                return best
            if left == 0:
                best = count + many
                pen.say(f"[That pays it|Exact], with {best}[.| coins.| in all.]")
            else:
                best = self._spend(pen, coins[1:], left, (*used, many), best)
        return best

    def _last(self, pen: Pen, coin: int, rest: int, used: State, best: int | None) -> int | None:
        many, short = divmod(rest, coin)
        total = sum(used) + many
        if short:
            pen.say(
                f"{DEAD}[{rest} is not a multiple of {coin}|{coin} does not go into {rest}|it would leave {short}]."
            )
        elif best is None or total < best:
            pen.say(f"[Then|And] {many} of {coin} [finish it|do it]: {total} in all[, better|, the best yet|].")
            best = total
        else:
            pen.say(f"{many} of {coin} [finish it|would do], {DEAD}[{total} is not below {best}|no gain on {best}].")
        return best


@dataclass(frozen=True, slots=True)
class Jugs:
    """The fewest pourings that leave a given amount in one of some jugs."""

    category: ClassVar[str] = "Logic and Puzzles"
    sizes: tuple[int, ...]
    target: int

    @classmethod
    def make(cls, rng: Random, level: int) -> Self:
        size, high, fewest = ((2, 8, 2), (2, 13, 5), (2, 19, 9), (3, 9, 4), (3, 15, 6))[level - 1]
        while True:
            sizes = tuple(sorted(rng.sample(range(3, high + 1), size)))
            jugs = cls(sizes, rng.randint(1, sizes[-1] - 1))
            if fewest <= jugs.answer <= fewest + 5:
                return jugs

    def ask(self, rng: Random) -> str:
        sizes, t = listing(self.sizes), self.target
        liquid = rng.choice(["water", "cider", "milk", "oil", "lemonade", "wine"])
        unit = rng.choice(["litre", "pint", "quart", "gallon", "cup"])
        vessel = rng.choice(["jug", "can", "bucket", "flask", "pail"])
        forms = [
            f"[You have|There are] {len(self.sizes)} empty {vessel}s of {sizes} {unit}s "
            "and a tap. A move fills one, empties one, or pours one into another until "
            "[that is full or the first is empty|one is full or the other empty]. "
            f"[What is the least number of moves that leaves|In how few moves can you get] exactly {plural(t, unit)} "
            "in one?",
            f"A [dairy|cellar|kitchen] has unmarked {vessel}s that hold {sizes} {unit}s, all empty, beside a full vat "
            f"of {liquid}. [Filling one to the brim, emptying one into the vat|Dipping one full, tipping one out], "
            "and pouring from one to another as far as it goes [each count as one step|are the only steps]. How many "
            f"steps are needed[, at the least,|] to have {plural(t, unit)} in some {vessel}?",
            f"[Let a state be|A state is] the [contents|fill levels] of {len(self.sizes)} "
            f"{vessel}s with capacities {sizes}, [at first all 0|all empty to begin with]. "
            "[One operation|A move|Each operation] sets one of them to 0, or to its capacity, or transfers "
            "[from one to another as much as possible|as much as fits from one to another]. [Find|Determine] the "
            f"[minimal|least] number [of them |]after which some {vessel} contains [exactly |]${t}$.",
            f"With [only |]{vessel}s for {listing(f'{size} {unit}s' for size in self.sizes)} at a spring, how "
            f"[quickly|soon] can one measure {plural(t, unit)} of water, if every filling, emptying or pouring over "
            "takes one minute? Give the number of minutes.",
        ]
        return rng.choice(forms)

    @property
    def answer(self) -> int:
        """0 when it cannot be done."""
        reached, layer, moves = {(0,) * len(self.sizes)}, {(0,) * len(self.sizes)}, 0
        while layer:
            if any(self.target in state for state in layer):
                return moves
            layer = {after for state in layer for _, after in self._moves(state)} - reached
            reached |= layer
            moves += 1
        return 0

    def _moves(self, state: State) -> list[tuple[str, State]]:
        def but(changes: dict[int, int]) -> State:
            return tuple(changes.get(i, content) for i, content in enumerate(state))

        moves = []
        for i, size in enumerate(self.sizes):
            moves.append((f"fill the {size}", but({i: size})))
            moves.append((f"empty the {size}", but({i: 0})))
            for j, other in enumerate(self.sizes):
                if i != j:
                    poured = min(state[i], other - state[j])
                    moves.append(
                        (f"pour the {size} into the {other}", but({i: state[i] - poured, j: state[j] + poured}))
                    )
        return [(how, after) for how, after in moves if after != state]

    def solve(self, pen: Pen) -> int:
        start = (0,) * len(self.sizes)
        pen.step(
            f"[Okay, states are|I write states as|Let me note] the contents in the order {listing(self.sizes)}, "
            f"from {start}."
        )
        pen.say(
            "[The fewest moves: breadth first|To be sure of the minimum I go layer by layer|So a search by layers]."
        )
        depth: dict[State, int] = {start: 0}
        queue = [start]
        stuck = False
        for state in queue:
            known = len(queue)
            if self._explore(pen, state, depth, queue, first=not stuck):
                result = depth[queue[-1]]
                pen.step(f"[There is|I see|That shows] {self.target} in {queue[-1]}, after {plural(result, 'move')}.")
                pen.say(
                    "[Shorter is impossible, as layers came in order.|Everything earlier was without it."
                    "|And it is minimal.]"
                )
                return result
            stuck = len(queue) == known
            if stuck:
                pen.say(f"{DEAD}[that was all old|nothing new comes from {state}|{state} leads nowhere new].")
        return pen.reckon(0)

    def _explore(self, pen: Pen, state: State, depth: dict[State, int], queue: list[State], *, first: bool) -> bool:
        """Note every state that follows; true as soon as one holds the target, which is then the last in the queue."""
        moves = self._moves(state)
        pen.rng.shuffle(moves)
        place = f"[at depth {depth[state]}|reached in {depth[state]}]"
        pen.attempt(f"[go on from|look at|take] {state}, {place}.", first=first)
        for how, after in moves:
            if after in depth:
                if pen.chance(0.3):
                    pen.say(
                        f"[{how} only gives {after} again|{how}, but {after} is known|wait, {how}? {after}, seen"
                        f"|to {how} leads back to {after}|no need to {how}, as {after} is old"
                        f"|I could {how}, yet {after} was there]."
                    )
                continue
            depth[after] = pen.reckon(depth[state] + 1)
            queue.append(after)
            pen.say(
                f"[{how}|one can {how}|I {how}|let me {how}|then {how}|or {how}|another way: {how}][: {after}"
                f"|, which makes {after}|, giving {after}|, and it is {after}|, to reach {after}|, so {after}][|||"
                "|, new|, not seen before|, noted|, a new state]."
            )
            if self.target in after:
                return True
        return False
