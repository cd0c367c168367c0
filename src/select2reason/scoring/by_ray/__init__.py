"""Scoring by Ray: the shards of a pool dealt out by Ray Data to workers on one machine or on all those of a cluster.

A worker reads a shard's text, scores it as `local.Scoring` does and writes its score shard, whole or not at all; only
the shard's number and its rows travel back. A worker that dies is started again by Ray and costs the shard that it was
at; what is finished stays, for the next run too. Which rows are chosen does not depend on who scored them. Ray is
imported here alone, and only when it is used.
"""

from select2reason.scoring.by_ray.dealing import check_ray, score_by_ray

__all__ = ["check_ray", "score_by_ray"]
