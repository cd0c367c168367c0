r"""Is an answer right? Rollouts, answer verification and evaluation all ask here.

    final_answer("... so \boxed{\frac12}.")                     -> r"\frac12"
    with Grader() as grader:
        grader.grade([(r"\frac12", "0.5"), ("B", r"\text{C}"), ("7", "proof")])   -> [True, False, None]

True: right; False: wrong; None: it cannot be judged (no usable gold answer, or the comparison ran out of time or
memory). Every file calls this column `correct`. Nothing heavy is imported here: Math-Verify and SymPy live in the
worker processes, and the rules of comparing are loaded where something is compared.
"""

from typing import TYPE_CHECKING

from select2reason.grading.extract import final_answer, gold_answer

if TYPE_CHECKING:
    from select2reason.grading.grader import Grader, verdicts

__all__ = ["Grader", "final_answer", "gold_answer", "verdicts"]


def __getattr__(name: str) -> object:
    if name not in ("Grader", "verdicts"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from select2reason.grading import grader

    return getattr(grader, name)
