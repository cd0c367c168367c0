"""The options that commands share, in groups, and how they become settings; those of models are in model_options."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from select2reason.errors import UsageError
from select2reason.signs import escaped, on_a_line, visible

if TYPE_CHECKING:
    import polars as pl

    from select2reason.scoring import RaySettings
    from select2reason.settings import PoolSettings
    from select2reason.tables import Table

MOST = 2**63 - 1  # the largest whole number that a manifest can hold
READ, SCORE, CHOOSE, RULES, OUT = "Reading", "Scoring", "What is taken", "What is left out", "Output"

Pools = Annotated[
    list[str],
    typer.Argument(
        metavar="POOL...", help="File, folder or glob of JSONL, JSON, Parquet or Arrow, or a Hub dataset id."
    ),
]
Questions = Annotated[
    list[str],
    typer.Argument(
        metavar="QUESTIONS...", help="Table of questions: file, folder or glob of JSONL, Parquet or Arrow, or a Hub id."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; put in place when whole.", rich_help_panel=OUT)]
OutFile = Annotated[Path, typer.Option("--out", help="File to write: .parquet or .jsonl.", rich_help_panel=OUT)]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier result at --out.", rich_help_panel=OUT)]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.", rich_help_panel=OUT)
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        help="Where pools and scores are kept. [default: SELECT2REASON_CACHE, or the user's cache folder]",
        rich_help_panel=READ,
    ),
]
Split = Annotated[
    str | None, typer.Option(help="Split of a folder or Hub dataset. [default: train]", rich_help_panel=READ)
]
Config = Annotated[str | None, typer.Option(help="Config of a Hub dataset.", rich_help_panel=READ)]
Revision = Annotated[str | None, typer.Option(help="Revision of a Hub dataset.", rich_help_panel=READ)]
TokenizerName = Annotated[
    str,
    typer.Option(
        "--tokenizer", help="`builtin` (Qwen2.5), a tokenizer.json or its folder, or a Hub id.", rich_help_panel=SCORE
    ),
]
Difficulty = Annotated[
    str,
    typer.Option(
        help="Who says how hard a question is: `builtin`, `judge`, `reward:DIR`, `rollout:DIR`, or `column:NAME` "
        "(a number per row, higher = harder).",
        rich_help_panel=SCORE,
    ),
]


@dataclass(frozen=True)
class Reading:
    """How a pool is read."""

    layout: Annotated[
        str | None, typer.Option(help="Force a layout by name instead of finding it.", rich_help_panel=READ)
    ] = None
    columns: Annotated[
        str | None,
        typer.Option(
            help="Which column plays which role: `question=Q,response=R`; also trace, answer, gold, category, correct.",
            rich_help_panel=READ,
        ),
    ] = None
    split: Split = None
    config: Config = None
    revision: Revision = None
    max_bad_fraction: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Stop where more than this part of the rows cannot be used.", rich_help_panel=READ
        ),
    ] = 0.05
    cache_dir: CacheDir = None

    def begin(self, pools: list[str], *, tokenizer: str, machines: Machines) -> None:
        """Begin with what needs none of the program, which is loaded meanwhile."""
        from select2reason import ahead

        if machines.machines == "local":
            ahead.begin(pools, cache_dir=self.cache_dir, tokenizer=tokenizer)

    def settings(self, pools: list[str], *, ray: RaySettings | None, carry: str = "all") -> PoolSettings:
        """As the pipeline takes them."""
        from select2reason.layouts import parse_columns
        from select2reason.settings import PoolSettings

        return PoolSettings(
            pools=tuple(pools),
            split=self.split,
            config=self.config,
            revision=self.revision,
            layout=self.layout,
            columns=parse_columns(self.columns) if self.columns is not None else {},
            max_bad_fraction=self.max_bad_fraction,
            cache_dir=self.cache_dir,
            carry=cast("Literal['all', 'none']", carry) if carry in ("all", "none") else words(carry),
            ray=ray,
        )


@dataclass(frozen=True)
class Machines:
    """Where the scorers run."""

    machines: Annotated[
        Literal["local", "ray"],
        typer.Option("--engine", help="Score on this machine, or by Ray on one or many.", rich_help_panel=SCORE),
    ] = "local"
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster to join: `auto`, HOST:PORT or ray://HOST:PORT. [default: the job's, else a Ray of its "
            "own on this machine]",
            rich_help_panel=SCORE,
        ),
    ] = None
    ray_storage: Annotated[
        str | None,
        typer.Option(
            help="Folder or URL (s3://bucket/prefix) where Ray's workers find the pool. [default: the cache itself]",
            rich_help_panel=SCORE,
        ),
    ] = None

    def settings(self) -> RaySettings | None:
        """As the pipeline takes them. Raises UsageError where Ray's options come without Ray."""
        if self.machines == "ray":
            from select2reason.scoring import RaySettings

            return RaySettings(self.ray_address, self.ray_storage)
        if self.ray_address is not None or self.ray_storage is not None:
            raise UsageError("--ray-address and --ray-storage are for --engine ray; add it, or leave them out")
        return None


@dataclass(frozen=True)
class TableReading:
    """How a table of questions is read."""

    columns: Annotated[
        str | None,
        typer.Option(
            help="Which column plays which role: `question=Q,gold=G`; also category, pass_rate.", rich_help_panel=READ
        ),
    ] = None
    split: Split = None
    config: Config = None
    revision: Revision = None

    def table(self, names: list[str]) -> Table:
        """Read it."""
        from select2reason.layouts import parse_columns
        from select2reason.tables import read_table

        columns = parse_columns(self.columns) if self.columns is not None else {}
        return read_table(names, columns=columns, split=self.split, config=self.config, revision=self.revision)

    def rated(self, names: list[str]) -> pl.DataFrame:
        """Read it as questions with pass rates: `question`, `pass_rate`, `gold` and, where rollouts tell it, `n`."""
        import polars as pl

        from select2reason.difficulty.rollout import RATES
        from select2reason.layouts import parse_columns

        files = [str(Path(name) / RATES) if (Path(name) / RATES).is_file() else name for name in names]
        table = self.table(files)
        column = (parse_columns(self.columns) if self.columns is not None else {}).get("pass_rate", "pass_rate")
        if column not in table.frame.columns:
            raise UsageError(f"no column {column} of pass rates; name it with --columns pass_rate=COLUMN")
        counted = [table.frame["n"]] if column == "pass_rate" and "n" in table.frame.columns else []
        rates = table.column(column, "pass_rate").rename("pass_rate")
        return pl.DataFrame([table.question, rates, table.gold, *counted])


def words(text: str) -> tuple[str, ...]:
    """`a,b` as its parts."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def command_line() -> str:
    """What was typed, for a manifest; a user and a password in an address are left out."""
    shown = (re.sub(r"(\w://)[^/@\s]+@", r"\1***@", word) for word in sys.argv[1:])
    return shlex.join(["select2reason", *shown])


def print_json(result: object, **changed: object) -> None:
    """A command's result for machines: a dataclass, what is undefined as null."""
    import orjson

    plain = orjson.loads(orjson.dumps(result, default=str))
    typer.echo(escaped(orjson.dumps(plain | changed, default=str).decode()))


def print_paths(paths: list[Path]) -> None:
    """The last words of every command that wrote."""
    echo("wrote")
    for path in paths:
        echo(f"  {on_a_line(str(path))}")


def echo(text: str, *, nl: bool = True) -> None:
    """What a command has to say on standard output, however hostile the names in it."""
    typer.echo(visible(text), nl=nl)
