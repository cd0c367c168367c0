"""A recipe: one TOML that is the paper from top to bottom, as the commands that one would type.

    name = "..."   about = "..."            what the report is called, and what is said at its top
    [make]        examples = 400            a pool, a benchmark and a small random model of our own, for a trial
    [select]      pool = [...]              then options of `select`, by their names on the command line
    [train]       model = "..."             options of `train`
    [evaluate]    benchmarks = [...]        options of `evaluate`; base = true: the model before training as well;
                                            against = "VARIANT": what the others are compared with
    [variants.NAME]   select.strategy = ... what one variant does otherwise; without any there is one, `main`

`{out}` in a value is the folder of the run. Nothing else is possible here: what a recipe does can be done by hand.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from select2reason.errors import UsageError, in_a_line

ONLY = "main"  # the variant of a recipe that names none
BASE = "base"  # the model before training, among the evaluations
_SECTIONS = ("make", "select", "train", "evaluate")
_GIVEN = ("out", "force", "json")
_SWITCHED_OFF = ("gradient-checkpointing",)  # options that are on by themselves
SWITCHES = ("lora", "trust-remote-code", *_SWITCHED_OFF)  # options that are true or false; every other has a value
_OWN = {"evaluate": ("base", "against")}  # keys that are no options


@dataclass(frozen=True, slots=True)
class Stage:
    """One command: `words` after the program's name; `made` is what is there when it has run."""

    name: str
    words: tuple[str, ...]
    made: Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """`stages` in the order that they run; `against` is a variant or BASE, None: nothing is compared; `models` are
    those that training begins from, by variant and BASE, as they are named."""

    name: str
    about: str
    variants: tuple[str, ...]
    against: str | None
    base: bool
    models: Mapping[str, str]
    stages: tuple[Stage, ...]


def read_recipe(file: Path, out: Path) -> Recipe:
    """Read a recipe for a run into `out`. Raises UsageError where it is none; options are checked by their commands."""
    try:
        text = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {file} ({error.strerror}); give a recipe's file, or the name of one") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number of 5,000 digits, endless nesting
        raise UsageError(f"{file} is no TOML ({in_a_line(error)}); mend it") from error
    _refuse_unknown(text, file)
    if "pool" not in text.get("select", {}):
        raise UsageError(f"{file}: say which pool: pool = [...] under [select]")
    for table in (text, *text.get("variants", {}).values()):
        _refuse_pools(table.get("select", {}), file)
    variants = text.get("variants") or {ONLY: {}}
    evaluate = text.get("evaluate", {})
    against = evaluate.get("against", BASE if evaluate.get("base") else None)
    if against not in (None, BASE, *variants):
        raise UsageError(f"{file}: against = {against!r} is no variant; it can be {', '.join([*variants, BASE])}")
    if "evaluate" in text and "train" not in text:
        raise UsageError(f"{file}: [evaluate] needs a [train], whose model it asks")
    base = bool(evaluate.get("base")) or against == BASE
    of_all = {name: _merged(text, own, "train").get("model", "") for name, own in {BASE: {}, **variants}.items()}
    return Recipe(
        name=str(text.get("name", file.stem)),
        about=str(text.get("about", "")),
        variants=tuple(variants),
        against=against,
        base=base,
        models={name: _filled(model, out) for name, model in of_all.items()},
        stages=tuple(_stages(text, variants, out, base=base)),
    )


def _refuse_pools(section: Mapping[str, Any], file: Path) -> None:
    pools = section.get("pool", "")
    if not all(isinstance(pool, str) for pool in (pools if isinstance(pools, list) else [pools])) or pools == []:
        raise UsageError(f"{file}: pool is a name, or a list of names: pool = [...]")


def _refuse_unknown(text: Mapping[str, Any], file: Path) -> None:
    """Everything is known, of its kind, and a name that can be a folder's."""
    _refuse_other(text, ("name", "about", "variants", *_SECTIONS), f"{file}: a recipe")
    _refuse_options(text, f"{file}:")
    variants = text.get("variants", {})
    if not isinstance(variants, Mapping):
        raise UsageError(f"{file}: variants is a table, [variants.NAME]")
    for name, own in variants.items():
        if not re.fullmatch(r"\w[\w.-]*", name) or name == BASE:
            raise UsageError(f"{file}: a variant cannot be called {name!r}; give it another name")
        if not isinstance(own, Mapping):
            raise UsageError(f"{file}: variants.{name} is a table, [variants.{name}]")
        _refuse_other(own, _SECTIONS[1:], f"{file}: the variant {name}")
        _refuse_options(own, f"{file}, variant {name}:")
        for section, options in own.items():
            if section not in text:
                raise UsageError(f"{file}: the variant {name} has a {section}, and the recipe has no [{section}]")
            if common := [key for key in _OWN.get(section, ()) if key in options]:
                raise UsageError(f"{file}: {common[0]} is said once, under [{section}]")


def _refuse_options(table: Mapping[str, Any], where: str) -> None:
    for section in _SECTIONS:
        options = table.get(section, {})
        if not isinstance(options, Mapping):
            raise UsageError(f"{where} {section} is a table, with {section}.OPTION = VALUE in it")
        if given := [key for key in _GIVEN if key in options]:
            raise UsageError(f"{where} {section} has no {given[0]}; the run gives it")


def _refuse_other(table: Mapping[str, Any], known: Sequence[str], whose: str) -> None:
    if unknown := sorted(set(table) - set(known)):
        raise UsageError(f"{whose} has no {unknown[0]}; it has {', '.join(known)}")


def _stages(text: Mapping[str, Any], variants: Mapping[str, Any], out: Path, *, base: bool) -> Iterator[Stage]:
    if "make" in text:
        made = out / "made"
        yield Stage("make", ("tiny", *_options("make", text["make"], out), "--out", str(made)), made)
    for name, own in variants.items():
        section = _merged(text, own, "select")
        pools = section.pop("pool")
        words = [_filled(pool, out) for pool in ([pools] if isinstance(pools, str) else pools)]
        folder = out / "select" / name
        yield Stage(
            f"select {name}", ("select", *words, *_options("select", section, out), "--out", str(folder)), folder
        )
    if "train" not in text:
        return
    if base and "evaluate" in text:
        model = _filled(text["train"].get("model", ""), out)
        yield _evaluation(BASE, model, _merged(text, {}, "evaluate"), out)
    for name, own in variants.items():
        folder = out / "train" / name
        words = [str(out / "select" / name), *_options("train", _merged(text, own, "train"), out)]
        yield Stage(f"train {name}", ("train", *words, "--out", str(folder)), folder / "manifest.json")
        if "evaluate" in text:
            yield _evaluation(name, str(folder / "model"), _merged(text, own, "evaluate"), out)


def _evaluation(name: str, model: str, section: Mapping[str, Any], out: Path) -> Stage:
    folder = out / "evaluate" / name
    words = ("evaluate", "--model", model, *_options("evaluate", section, out), "--out", str(folder))
    return Stage(f"evaluate {name}", words, folder / "results.json")


def _merged(text: Mapping[str, Any], own: Mapping[str, Any], section: str) -> dict[str, Any]:
    return {**text.get(section, {}), **own.get(section, {})}


def _options(command: str, section: Mapping[str, Any], out: Path) -> Iterator[str]:
    """Keys as the command's options: lists with commas, true as the option alone, false as none, or its opposite."""
    for key, value in section.items():
        if key in _OWN.get(command, ()):
            continue
        option = key.replace("_", "-")
        if isinstance(value, bool):
            if option not in SWITCHES:
                told = f"{command}: {key} = {str(value).lower()}"
                raise UsageError(
                    f'{told}, but it is no switch; give its value as text, as in {key} = "off", or leave it out'
                )
            if value or option in _SWITCHED_OFF:
                yield f"--{option}" if value else f"--no-{option}"
        else:
            yield f"--{option}"
            yield ",".join(_filled(one, out) for one in (value if isinstance(value, list) else [value]))


def _filled(value: object, out: Path) -> str:
    return str(value).replace("{out}", str(out))
