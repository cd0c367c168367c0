"""The cores that this process may use: in a container or a cluster's job fewer than its machine has."""

from __future__ import annotations


def cores() -> int:
    """As Polars counts them: by the process's affinity and its control group, or as `POLARS_MAX_THREADS` says."""
    import polars as pl

    return pl.thread_pool_size()
