"""The package itself: its public names, and how little importing it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import select2reason


@pytest.mark.parametrize("name", select2reason.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(select2reason, name)


def test_public_names_are_sorted_and_no_others_exist() -> None:
    assert sorted(select2reason.__all__) == select2reason.__all__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = select2reason.nonsense


def test_the_version_is_that_of_the_distribution() -> None:
    assert select2reason.__version__ == version("select2reason")


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"numpy", "polars", "pyarrow"}
    code = f"import sys, select2reason; print(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0\n"
