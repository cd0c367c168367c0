"""What a request asks for, read from its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from select2reason.errors import UsageError
from select2reason.ranking import refuse_weight
from select2reason.selection import parse_fraction
from select2reason.view.explored import Asked
from select2reason.view.query import Query

Given = Mapping[str, str]


def asked(given: Given) -> Asked:
    """A choice: weight, and fraction or rows. Raises UsageError for what is no number, or out of range."""
    fraction = given.get("fraction")
    weight, rows = _number(given, "weight"), whole(given, "rows")
    if weight is not None:
        refuse_weight(weight)
    if rows == 0:
        raise UsageError("rows must be at least 1; got 0")
    return Asked(weight, parse_fraction(fraction) if fraction else None, rows)


def query(given: Given) -> Query:
    """Filters and order. Raises UsageError for a value that is not known."""
    values: dict[str, object] = {}
    for field in fields(Query):
        if field.name.startswith(("least_", "most_")):
            values[field.name] = _number(given, field.name)
        elif field.name in given:
            values[field.name] = given[field.name] == "true" if field.name == "descending" else given[field.name]
    return Query(**values)  # type: ignore[arg-type]


def whole(given: Given, name: str) -> int | None:
    """A whole number; None where none is given."""
    text = given.get(name)
    if text and not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise UsageError(f"{name} is a whole number; got {text[:40]!r}")
    return int(text) if text else None


def _number(given: Given, name: str) -> float | None:
    text = given.get(name)
    try:
        return float(text) if text else None
    except ValueError as error:
        raise UsageError(f"{name} is a number; got {text!r:.40}") from error
