"""Select2Reason (arXiv 2505.17266): choose the best tenth of a pool of long chain-of-thought examples.

The names below are loaded when they are first used, so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from select2reason.backends import BackendSettings
    from select2reason.comparing import Comparison
    from select2reason.evaluation import evaluate, read_problems
    from select2reason.grading import Grader, final_answer
    from select2reason.opening import open_pool
    from select2reason.pipeline import SelectOutcome, analyze, compare, select
    from select2reason.pool import Pool
    from select2reason.ranking import joint_rank
    from select2reason.selection import Candidates, Selection, rank
    from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
    from select2reason.training import TrainSettings, train

__all__ = [
    "BackendSettings",
    "Candidates",
    "Comparison",
    "Grader",
    "Pool",
    "PoolSettings",
    "ScoreSettings",
    "SelectOutcome",
    "SelectSettings",
    "Selection",
    "TrainSettings",
    "__version__",
    "analyze",
    "compare",
    "evaluate",
    "final_answer",
    "joint_rank",
    "open_pool",
    "rank",
    "read_problems",
    "select",
    "train",
]
_HOME = {
    "BackendSettings": "backends",
    "Candidates": "selection",
    "Comparison": "comparing",
    "Grader": "grading",
    "Pool": "pool",
    "PoolSettings": "settings",
    "ScoreSettings": "settings",
    "SelectOutcome": "pipeline",
    "SelectSettings": "settings",
    "Selection": "selection",
    "analyze": "pipeline",
    "compare": "pipeline",
    "evaluate": "evaluation",
    "final_answer": "grading",
    "joint_rank": "ranking",
    "open_pool": "opening",
    "rank": "selection",
    "read_problems": "evaluation",
    "TrainSettings": "training",
    "select": "pipeline",
    "train": "training",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
