"""Options that several commands share, each written once: a command takes a dataclass, users see its fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    run.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in spread}
    return run


def _spread(group: type[DataclassInstance]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=hints[field.name])
        for field in fields(group)
    ]
