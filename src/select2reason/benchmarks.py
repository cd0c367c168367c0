"""The benchmarks as data (METHOD 7): where each stands, which columns it has, how it is asked, sampled and graded.

ZebraLogic and GPQA are not among them: the puzzles of knights and knaves and the STEM part of MMLU-Pro stand for logic
and science. Any other table of questions with gold answers can be evaluated as well, by the columns it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from select2reason.backends.base import Sampling

Form = Literal["open", "choice", "roles"]

SAMPLED = Sampling(n=16, temperature=0.6, top_p=0.95, max_tokens=16_384)  # METHOD 7: the small contests
GREEDY = Sampling(n=1, temperature=0.0, top_p=1.0, max_tokens=16_384)  # METHOD 7: all others

OPTIONS = ("options", "choices")


@dataclass(frozen=True, slots=True)
class HubSource:
    """A dataset on the Hugging Face Hub."""

    name: str
    split: str
    config: str | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark. `problems` is how many it has (None: not known); `files` are other names that its file or folder
    may bear under `--data`, without an ending; `hub` is None where no public copy is known.

    `form`: `open` answers are graded as they are, a `choice` may be given as its letter or as its text, and `roles`
    say who is what. `question` and `gold` name columns: the first that is there counts, and of the gold ones the first
    that is not blank in its row.
    """

    name: str
    title: str
    problems: int | None = None
    sampling: Sampling = GREEDY
    form: Form = "open"
    files: tuple[str, ...] = ()
    hub: HubSource | None = None
    question: tuple[str, ...] = ("question", "problem")
    gold: tuple[str, ...] = ("answer",)


def _puzzles(people: int) -> Benchmark:
    name = f"knights_knaves_{people}ppl"
    hub = HubSource("K-and-K/knights-and-knaves", f"{people}ppl", "test")
    title = f"Knights and knaves, {people} people"
    return Benchmark(name, title, 100, form="roles", hub=hub, question=("quiz",), gold=("solution_text",))


BENCHMARKS: dict[str, Benchmark] = {
    one.name: one
    for one in (
        Benchmark("aime24", "AIME 2024", 30, SAMPLED, hub=HubSource("HuggingFaceH4/aime_2024", "train")),
        Benchmark("aime25", "AIME 2025", 30, SAMPLED, hub=HubSource("math-ai/aime25", "test")),
        Benchmark("amc23", "AMC 2023", 40, SAMPLED, hub=HubSource("math-ai/amc23", "test")),
        Benchmark("math500", "MATH500", 500, hub=HubSource("HuggingFaceH4/MATH-500", "test")),
        Benchmark(
            "olympiadbench",
            "OlympiadBench",
            675,
            hub=HubSource("Hothan/OlympiadBench", "train", "OE_TO_maths_en_COMP"),
            gold=("final_answer",),
        ),
        Benchmark(
            "gaokao2023en", "GaoKao 2023 EN", 385, hub=HubSource("MARIO-Math-Reasoning/Gaokao2023-Math-En", "train")
        ),
        Benchmark("gaokao2024", "GaoKao 2024", 91, files=("gaokao2024_mix",), gold=("choice_answer", "answer")),
        Benchmark(
            "gaokao_math_qa",
            "GaoKao-Math-QA",
            351,
            form="choice",
            hub=HubSource("hails/agieval-gaokao-mathqa", "test"),
            question=("question", "query"),
            gold=("label", "gold"),
        ),
        Benchmark("kaoyan", "Kaoyan", 199),
        *(_puzzles(people) for people in (3, 4, 5)),
        Benchmark(
            "mmlu_pro", "MMLU-Pro", form="choice", files=("mmlu_pro_stem",), hub=HubSource("TIGER-Lab/MMLU-Pro", "test")
        ),
    )
}
