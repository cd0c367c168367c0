"""Options that several commands share, each written once: a command takes a dataclass, users see its fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, TypeVar, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Group = TypeVar("_Group", bound="DataclassInstance")


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose dataclass parameters are spread out, field by field, where they stand.

    A field is an option as typer reads it (`Annotated[type, typer.Option(...)]`) and must have a default.
    """
    hints = get_type_hints(command, include_extras=True)
    plain = inspect.signature(command).parameters
    groups = {name: hints[name] for name in plain if is_dataclass(hints[name])}
    spread: list[inspect.Parameter] = []
    for name, parameter in plain.items():
        own = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        spread += _spread(groups[name]) if name in groups else [own]

    @wraps(command)
    def run(**given: object) -> None:
        filled = {name: taken(group, given) for name, group in groups.items()}
        command(**{name: given[name] for name in plain if name not in groups}, **filled)

    run.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in spread}
    return run


def taken(group: type[_Group], given: Mapping[str, object]) -> _Group:
    """The group with what was given to its options, among those of a whole command."""
    return group(**{field.name: given[field.name] for field in fields(group)})


def _spread(group: type[DataclassInstance]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=hints[field.name])
        for field in fields(group)
    ]
