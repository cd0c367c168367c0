"""How scorers run over a pool: the Scorer protocol, and the one rule that gives restart, order and scale-out.

One score shard per pool shard, of the same number, written as `.part` and renamed when whole. A folder of shards is
named by the scorer's fingerprint, so nothing is scored twice and nothing stale is used.
"""

from select2reason.scoring.base import RaySettings, Scorer, ScorerSpec, read_scores
from select2reason.scoring.local import Scoring, score

__all__ = ["RaySettings", "Scorer", "ScorerSpec", "Scoring", "read_scores", "score"]
