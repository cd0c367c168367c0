"""How hard a question is, d in [0, 1] with 1 = hardest (METHOD 2): five estimators, and what they are worth."""

from select2reason.difficulty.asking import ask
from select2reason.difficulty.estimators import CHOICES, Estimator, find_estimator

__all__ = ["CHOICES", "Estimator", "ask", "find_estimator"]
