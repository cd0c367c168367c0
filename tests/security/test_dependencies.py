"""What is installed with the program: every package pinned, every licence one that goes with Apache-2.0, none missing.

Whether a pinned version has a known hole is asked of a database on the network: `make audit`, by hand.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
GOES = (  # permissive; and weak copyleft of whole files or libraries that are used, not changed
    *("apache", "mit", "bsd", "isc", "psf", "python-2.0", "python software foundation", "cnri-python"),
    *("mpl-2.0", "mozilla public license 2.0", "unlicense", "public domain", "zlib", "hpnd"),
)
NOT = ("agpl", "affero", "gpl-3", "gpl-2", "gplv", "general public license", "commons clause", "sspl", "proprietary")


def closure(name: str = "select2reason") -> dict[str, Distribution]:
    """Every package that the core needs on this machine, by its name."""
    found: dict[str, Distribution] = {}
    waiting = [(name, "")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        if (one := waiting.pop()) in seen:
            continue
        seen.add(one)
        package = distribution(one[0])
        found[canonicalize_name(one[0])] = package
        for line in package.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": one[1]}):
                waiting += [(needed.name, extra) for extra in ("", *sorted(needed.extras))]
    return found


def licence(package: Distribution) -> str:
    """What a package says of its licence, in whichever field."""
    about = package.metadata
    said = [
        about.json.get("license_expression"),
        *(c for c in about.get_all("Classifier") or () if c.startswith("License")),
    ]
    text = about.json.get("license")
    return " ".join(str(one) for one in [*said, str(text or "")[:200]] if one).lower()


CORE = {name: package for name, package in closure().items() if name != "select2reason"}


@pytest.mark.parametrize("name", CORE)
def test_every_core_package_has_a_licence_that_goes_with_ours(name: str) -> None:
    said = licence(CORE[name])
    assert any(one in said for one in GOES), f"{name}: {said!r}"
    assert not any(one in said for one in NOT), f"{name}: {said!r}"


def test_every_core_package_is_pinned_as_it_is_installed() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    parts = [line.partition("==") for line in lines if line and line[0] != "#"]
    assert all(version for _, _, version in parts)
    pinned: dict[str, str] = {canonicalize_name(name): version for name, _, version in parts}
    assert sorted(set(CORE) - set(pinned)) == []
    differ = {
        name: (package.version, pinned[name]) for name, package in CORE.items() if package.version != pinned[name]
    }
    assert differ == {}


def test_no_core_package_lacks_what_it_needs() -> None:
    """As `pip check`, of the core alone: an environment may hold other things beside it."""
    for package in CORE.values():
        for line in package.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                held = distribution(needed.name).version
                assert needed.specifier.contains(held, prereleases=True), f"{package.name}: {line}, there is {held}"


def test_no_package_comes_from_an_address() -> None:
    """Everything is taken from an index by its version, nothing from a URL or a branch."""
    for file in ("constraints.txt", "pyproject.toml"):
        assert not re.search(r"git\+|@ ?https?://|--extra-index-url|--index-url", (ROOT / file).read_text()), file
