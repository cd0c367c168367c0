"""What a pool asks, as a scorer: a sketch of every question, and the benchmark problems that it is."""

from __future__ import annotations

from functools import partial

import polars as pl

from select2reason import contamination, near_duplicates, wording
from select2reason.cache import key_of
from select2reason.contamination import Prints
from select2reason.scoring.base import ScorerSpec

VERSION = 1  # raised whenever a key, a sketch or a hit changes its meaning
HITS = "hits"
_BATCH_ROWS = 2_048


def question_spec(prints: Prints | None) -> ScorerSpec:
    """The scorer: the columns of `near_duplicates.OUTPUTS` and, with prints, `hits`, a list of `contamination.HIT`."""
    looked_for = {} if prints is None else {HITS: pl.List(contamination.HIT)}
    fingerprint = key_of(VERSION, pl.__version__, prints and prints.digest)  # Polars' hashes are its version's own
    outputs = {**near_duplicates.OUTPUTS, **looked_for}
    return ScorerSpec(
        "questions",
        fingerprint,
        ("question", "gold"),
        outputs,
        partial(_Scorer, prints),
        threads=2,
        light=True,
        batch_rows=_BATCH_ROWS,
    )


class _Scorer:
    def __init__(self, prints: Prints | None) -> None:
        self._index = None if prints is None else contamination.Index(prints)

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        asked = wording.asked(batch["question"])
        found = wording.words(asked)
        grams = wording.grams(found)
        sketches = near_duplicates.sketches(asked, batch["gold"], found, grams)
        return sketches if self._index is None else sketches.with_columns(self._index.hits(found, grams).alias(HITS))

    def close(self) -> None:
        """There is nothing to let go of."""
