"""What begins while the program is still being loaded, on the cores that this leaves free: the digests of files that
are new, and the vocabulary that will count their tokens. What fails here is told where it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from select2reason import cache, vocabulary


def begin(pools: Sequence[str], *, cache_dir: Path | None, tokenizer: str) -> None:
    """Begin with these pools, as a user names them, if any of them is a file that the cache does not know."""
    if cache.begin_digests(cache_dir, pools) and tokenizer == vocabulary.BUILTIN:
        vocabulary.begin_loading()
