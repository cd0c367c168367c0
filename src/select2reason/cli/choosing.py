"""The options of `select` and `compare` that say what is taken and what is left out, and how they become settings."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from select2reason.cli.model_options import Checking
from select2reason.cli.options import CHOOSE, MOST, RULES, words
from select2reason.errors import UsageError

if TYPE_CHECKING:
    from select2reason.settings import SelectSettings

Strategy = Literal["joint", "random", "diverse", "longest", "shortest", "middle", "hardest", "rethinking"]


@dataclass(frozen=True)
class Choosing:
    """What is taken and what is left out."""

    fraction: Annotated[
        str | None,
        typer.Option(help="Part of the eligible rows: 0.10 or 10%. [default: 0.10]", rich_help_panel=CHOOSE),
    ] = None
    rows: Annotated[int | None, typer.Option(min=1, max=MOST, help="This many rows.", rich_help_panel=CHOOSE)] = None
    token_budget: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="As many rows as fit in this many tokens.", rich_help_panel=CHOOSE),
    ] = None
    weight: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Weight of difficulty against length in the joint rank.", rich_help_panel=CHOOSE
        ),
    ] = 0.25
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Seed of random and diverse.", rich_help_panel=CHOOSE)] = 0
    preset: Annotated[
        Literal["safe", "paper"],
        typer.Option(
            help="`safe` leaves out rows that cannot train well; `paper` does as the paper did.", rich_help_panel=RULES
        ),
    ] = "safe"
    cutoff_len: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST,
            help="Leave out examples longer than this many tokens; 0 = off. [default: 16384, paper: 0]",
            rich_help_panel=RULES,
        ),
    ] = None
    per_question: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST,
            help="Most examples of one question; 0 = off. [default: 1, paper: 0]",
            rich_help_panel=RULES,
        ),
    ] = None
    keep: Annotated[
        str,
        typer.Option(help="Reasons for which no row is left out, e.g. `cut_off,duplicate`.", rich_help_panel=RULES),
    ] = ""
    checks: Annotated[
        Literal["all", "used"] | None,
        typer.Option(
            help="Ask of every row `all` that can be asked, or what is `used`: what a rule goes by. What is not asked "
            "is null. [default: all; `select` under paper: used]",
            rich_help_panel=RULES,
        ),
    ] = None

    def settings(self, checking: Checking, strategy: Strategy = "joint") -> SelectSettings:
        """As the pipeline takes them. Raises UsageError for more than one size, or a reason that does not exist."""
        from select2reason.selection import parse_fraction
        from select2reason.settings import PAPER_FRACTION, SelectSettings

        if sum(size is not None for size in (self.fraction, self.rows, self.token_budget)) > 1:
            raise UsageError("give only one of --fraction, --rows and --token-budget")
        sized = self.rows is not None or self.token_budget is not None
        asked: Decimal = PAPER_FRACTION if self.fraction is None else parse_fraction(self.fraction)
        return SelectSettings(
            fraction=None if sized else asked,
            rows=self.rows,
            token_budget=self.token_budget,
            strategy=strategy,
            weight=self.weight,
            seed=self.seed,
            preset=self.preset,
            cutoff_len=self.cutoff_len,
            per_question=self.per_question,
            verify=checking.verify,
            keep=_reasons(self.keep),
            checks=self.checks,
        )


def _reasons(keep: str) -> tuple[str, ...]:
    from select2reason.reasons import ROW_RULES

    if unknown := [reason for reason in words(keep) if reason not in ROW_RULES]:
        own = "for same_question use --per-question 0"
        hint = own if "same_question" in unknown else f"it knows {', '.join(ROW_RULES)}"
        raise UsageError(f"--keep knows no reason {', '.join(unknown)}; {hint}")
    return words(keep)
