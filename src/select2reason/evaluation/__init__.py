"""How good is the tuned model? Benchmarks put to it, every sample kept, every figure with its standard error.

problems  ->  samples  ->  conclusions  ->  verdicts, majorities  ->  figures  ->  comparison
"""

from select2reason.evaluation.problems import read_problems
from select2reason.evaluation.results import Evaluation
from select2reason.evaluation.run import Overrides, evaluate, regrade

__all__ = ["Evaluation", "Overrides", "evaluate", "read_problems", "regrade"]
