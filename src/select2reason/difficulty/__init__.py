"""How hard a question is, d in [0, 1] with 1 = hardest (METHOD 2): an estimator, or a column of the pool."""

from select2reason.difficulty.base import builtin_spec, column_difficulty, refuse_unknown_column

__all__ = ["builtin_spec", "column_difficulty", "refuse_unknown_column"]
