"""What goes wrong in real traces, planted on purpose: loops, cuts, a change of language, an answer held back.

Every function takes the steps (paragraphs) of a sound trace and gives back those of a broken one. Wrong answers are not
made here: they come from a slip of the pen while the search runs (see `Pen.reckon`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from select2reason.demo.prose import spin

_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")

# One idea, tried for 1, 2, 3, ... without end: the counter changes, and nothing else does.
_COUNTERS = (
    "Wait, maybe I should check the case {k} again. In case {k} the numbers are as before, so it does not help. "
    "Let me go to the next one.",
    "Alternatively, try to begin from {k}. If I begin from {k}, I come back to what I had, so that is not it either.",
    "Hmm, what about {k}? I thought {k} was excluded, but I am not sure. Let me suppose it is {k} and look again.",
    "But wait, attempt {k} may have missed something. Going over attempt {k} once more, I find nothing new.",
)
_CHINESE = (
    "等等，让我重新整理一下思路。前面我一直在逐个检验，现在换一种角度来看这个问题，也许能看得更清楚。",
    "首先把已经得到的结果列出来，然后检查有没有遗漏的情况。到目前为止，每一步的计算看起来都是对的。",
    "不过，刚才那一步我有点不放心，需要再验证一次。如果那里算错了，后面的结论也就不可靠了。",
    "或者可以反过来想：假设还有别的可能，那么它必须同时满足所有的条件，而这些条件几乎互相矛盾。",
    "这样一来，剩下要考虑的情况就不多了。我把它们按照从小到大的顺序依次试一遍，应该很快就能得到答案。",
    "好的，这一部分没有问题，结果和前面的计算是一致的。接下来继续用同样的方法处理余下的情况。",
    "但是还要注意，题目要求的是全部的情况，不能只找到一个就停下来，所以搜索必须进行到底。",
)


def loop_verbatim(steps: Sequence[str], rng: Random) -> list[str]:
    """Somewhere on the way, the same one to three steps again and again."""
    head = _head(steps, rng)
    rut = head[-rng.randint(1, 3) :]
    return head + rut * (_loop_words(head, rng) // _words(rut) + 1)


def loop_counting(steps: Sequence[str], rng: Random) -> list[str]:
    """Somewhere on the way, one sentence about 1, 2, 3 and so on: no step equals another, yet nothing is new."""
    head = _head(steps, rng)
    rut = rng.choice(_COUNTERS)
    if rng.random() < 0.5 and (own := next(filter(_LAST_NUMBER.search, reversed(head)), None)):
        rut = "Wait, once more. " + _LAST_NUMBER.sub("{k}", own)
    start = rng.randint(1, 40)
    times = _loop_words(head, rng) // _words([rut]) + 1
    return head + [rut.replace("{k}", str(k)) for k in range(start, start + times)]


def _head(steps: Sequence[str], rng: Random) -> list[str]:
    """The sound beginning of a loop, some 1,500 words of it at most."""
    share = min(rng.uniform(0.1, 0.6), 1500 / _words(steps))
    return list(steps[: max(3, int(len(steps) * share))])


def _loop_words(head: Sequence[str], rng: Random) -> int:
    """Length of the loop: at least four times what went before, and mostly far too long."""
    return max(4 * _words(head), int(900 * 14 ** rng.random()))


def _words(steps: Sequence[str]) -> int:
    return sum(step.count(" ") + 1 for step in steps)


def cut(response: str, rng: Random) -> str:
    """The response stopped in mid-sentence, before its trace is closed."""
    end = response.index("\n</think>")
    return response[: max(len("<think>\n") + 1, int(end * rng.uniform(0.55, 0.95)))].rstrip(" .\n")


def switch_language(steps: Sequence[str], rng: Random) -> list[str]:
    """A passage in Chinese in the middle of an English trace."""
    at = max(1, len(steps) // 2)
    passage = rng.sample(_CHINESE, rng.randint(3, len(_CHINESE)))
    return [*steps[:at], *passage, *steps[at:]]


def no_answer(rng: Random) -> str:
    """A final text that never says what the answer is."""
    return spin(
        "[The search described above settles the question completely.|All cases have been treated above.] "
        "[The remaining details are routine and follow in the same way.|I hope that this explains the method.]",
        rng,
    )
