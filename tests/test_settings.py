"""Settings made in Python are looked at as options are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from select2reason.errors import UsageError
from select2reason.settings import PoolSettings, SelectSettings


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"preset": "sfe"}, "preset is not 'sfe'; it can be safe, paper"),
        ({"strategy": "longst"}, "strategy is not 'longst'"),
        ({"verify": "grad"}, "verify is not 'grad'"),
        ({"checks": "non"}, "checks is not 'non'; it can be all, used"),
        ({"keep": "looping"}, r"keep takes several reasons; give \('looping',\)"),
        ({"keep": ("loopng",)}, "keep is not 'loopng'; it can be no_trace, looping"),
        ({"rows": 2.5}, "rows must be a whole number, not 2.5"),
        ({"per_question": 1.5}, "per_question must be a whole number"),
        ({"weight": "0.5"}, "weight must be a number, not '0.5'"),
    ],
)
def test_settings_are_checked_like_options(wrong: Mapping[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SelectSettings(**wrong)


def test_a_pool_is_named() -> None:
    with pytest.raises(UsageError, match="no pool is named"):
        PoolSettings(())
