"""Settings of a run, with the paper's defaults and their sources; only cli and pipeline know them.

The same word is the command line's option, the field here and the manifest's parameter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import index
from pathlib import Path
from typing import Any, Literal, SupportsFloat, SupportsIndex, get_args

from select2reason.backends import BackendSettings
from select2reason.difficulty.judge import JudgePrompt
from select2reason.errors import UsageError
from select2reason.ranking import BEST_WEIGHT
from select2reason.reasons import REASONS, ROW_RULES
from select2reason.scoring import RaySettings
from select2reason.selection import Ranked, Selection, Strategy, check_choice, parse_fraction
from select2reason.verification import Verify
from select2reason.vocabulary import BUILTIN

Preset = Literal["safe", "paper"]
Look = Literal["all", "used"]

PAPER_FRACTION = Decimal("0.10")  # METHOD 4: the headline result takes 10%
PAPER_CUTOFF_LEN = 16_384  # METHOD 6: cutoff of the paper's fine-tuning, in tokens
PRESETS: Mapping[Preset, Mapping[str, int]] = {  # METHOD 9.6
    "safe": {"cutoff_len": PAPER_CUTOFF_LEN, "per_question": 1},
    "paper": {"cutoff_len": 0, "per_question": 0},
}
DROPPING: Mapping[Preset, frozenset[str]] = {  # rules that drop rows before ranking (METHOD 9.6)
    "safe": frozenset(REASONS) - {"same_question", "over_budget", "ranked_below"},
    "paper": frozenset({"wrong_answer", "cut_off"}),  # cut_off: only of a row with generations to choose among
}


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Which files (a file, folder, glob or Hub id, or several), and how to read them. `ray` (None: not by Ray) says who
    scores them, as `cache_dir` says where they are kept: neither changes a score."""

    pools: tuple[str, ...]
    split: str | None = None
    config: str | None = None
    revision: str | None = None
    layout: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    max_bad_fraction: float = 0.05
    cache_dir: Path | None = None
    carry: tuple[str, ...] | Literal["all", "none"] = "all"
    ray: RaySettings | None = None

    def __post_init__(self) -> None:
        """One name alone is taken for a pool or a column, and not for its letters."""
        object.__setattr__(self, "pools", _several(self.pools))
        if not self.pools:
            raise UsageError("no pool is named; give a file, a folder, a glob or a Hub id")
        if not (isinstance(self.carry, str) and self.carry in ("all", "none")):
            object.__setattr__(self, "carry", _several(self.carry))
        if not isinstance(self.columns, Mapping):
            raise UsageError(f"columns maps roles to columns, as in {{'question': 'problem'}}; got {self.columns!r}")
        if not 0 <= _number("max_bad_fraction", self.max_bad_fraction) <= 1:
            raise UsageError(f"max_bad_fraction must be between 0 and 1; got {self.max_bad_fraction}")
        if not isinstance(self.cache_dir, str | Path | None):
            raise UsageError(f"cache_dir is a folder; got {self.cache_dir!r}")
        if self.cache_dir is not None:
            object.__setattr__(self, "cache_dir", Path(self.cache_dir))
        if not isinstance(self.ray, RaySettings | None):
            raise UsageError(f"ray takes RaySettings; got {self.ray!r}")


def _several(names: object) -> tuple[str, ...]:
    """Names of things as they may be given: several, or one alone."""
    if isinstance(names, str | Path):
        return (str(names),)
    several: list[str] = []
    for name in names if isinstance(names, Iterable) and not isinstance(names, Mapping) else [names]:
        if not isinstance(name, str | Path):  # a table's rows, say: the first is enough
            raise UsageError(f"give a name, or several; got {' '.join(repr(name).split()):.80}")
        several.append(str(name))
    return tuple(several)


def counted(name: str, value: object) -> int:
    """A whole number from 0 on that a manifest can hold. Raises UsageError for what is none."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise UsageError(f"{name} must be a whole number, not {value!r}")
    if not 0 <= (number := index(value)) < 2**63:
        raise UsageError(f"{name} must be a whole number from 0 to 2**63 - 1, not {value}")
    return number


def _number(name: str, value: object) -> float:
    """A number as a float. Raises UsageError for what is none."""
    try:
        if isinstance(value, SupportsFloat) and not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):  # an array of several
        pass
    raise UsageError(f"{name} must be a number, not {value!r}")


def _refuse_unknown(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"{name} is not {value!r}; it can be {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How traces are measured, questions judged and benchmarks looked for (`contamination` of None: where the checks
    want it); `engine` and `judge` are of --difficulty judge alone."""

    tokenizer: str = BUILTIN
    difficulty: str = "builtin"
    engine: BackendSettings | None = None
    judge: JudgePrompt | None = None
    contamination: bool | None = None
    benchmark_files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what the command line refuses too; one file alone is taken for a file, and not for its letters."""
        object.__setattr__(self, "benchmark_files", _several(self.benchmark_files))
        for name in ("tokenizer", "difficulty"):
            if not isinstance(getattr(self, name), str):
                raise UsageError(f"{name} must be a name, not {getattr(self, name)!r}")
        if not isinstance(self.engine, BackendSettings | None):
            raise UsageError(f"engine takes BackendSettings, who runs a model and how; got {self.engine!r}")
        if not isinstance(self.judge, JudgePrompt | None):
            raise UsageError(f"judge takes a JudgePrompt; got {self.judge!r}")
        if not isinstance(self.contamination, bool | None):
            raise UsageError(f"contamination must be True, False or None, not {self.contamination!r}")


@dataclass(frozen=True, slots=True)
class SelectSettings:
    """What is taken. `cutoff_len` and `per_question` of None mean the preset's; 0 switches the rule off. `checks` of
    None: `safe` asks all that can be asked of a row, `paper` what its rules go by."""

    fraction: Decimal | float | str | None = None
    rows: int | None = None
    token_budget: int | None = None
    strategy: Strategy = "joint"
    weight: float = BEST_WEIGHT
    seed: int = 0
    preset: Preset = "safe"
    cutoff_len: int | None = None
    per_question: int | None = None
    verify: Verify = "auto"
    keep: tuple[str, ...] = ()
    checks: Look | None = None

    def __post_init__(self) -> None:
        """Refuse what the command line refuses too: words that are not known, and numbers that are none."""
        words = {"preset": Preset, "strategy": Strategy, "verify": Verify}
        for name, known in words.items():
            _refuse_unknown(name, getattr(self, name), get_args(known))
        if self.checks is not None:
            _refuse_unknown("checks", self.checks, get_args(Look))
        if isinstance(self.keep, str) or not isinstance(self.keep, Collection):
            raise UsageError(f"keep takes several reasons; give ({self.keep!r},)")
        for reason in self.keep:
            _refuse_unknown("keep", reason, ROW_RULES)
        object.__setattr__(self, "keep", tuple(reason for reason in ROW_RULES if reason in self.keep))
        for name in ("rows", "token_budget", "cutoff_len", "per_question", "seed"):
            if (value := getattr(self, name)) is not None or name == "seed":
                object.__setattr__(self, name, counted(name, value))
        object.__setattr__(self, "weight", _number("weight", self.weight))
        check_choice(self.size, strategy=self.strategy, weight=self.weight, seed=self.seed, per_question=self.cap)

    @property
    def look(self) -> Look:
        """What is asked of every row: `all` that can be, or what is `used`."""
        return self.checks or ("all" if self.preset == "safe" else "used")

    @property
    def size(self) -> dict[str, Any]:
        """How much is asked for, as `selection.select` takes it: one of fraction, rows and token_budget."""
        sized = self.rows is not None or self.token_budget is not None
        asked = None if self.fraction is None else parse_fraction(str(self.fraction))  # 0.1 is a tenth, not nearly one
        fraction = (None if sized else PAPER_FRACTION) if asked is None else asked
        return {"fraction": fraction, "rows": self.rows, "token_budget": self.token_budget}

    def choose(self, ranked: Ranked) -> Selection:
        """The choice that these settings make."""
        return ranked.select(
            **self.size,
            strategy=self.strategy,
            weight=self.weight,
            seed=self.seed,
            per_question=self.cap,
        )

    @property
    def one_generation(self) -> bool:
        """Whether the paper's recipe chooses among a row's generations: not where a cap was asked for."""
        return self.preset == "paper" and self.per_question is None

    @property
    def by_gold(self) -> bool:
        """Whether --verify auto grades answers that have no flag: the paper's recipe goes by the pool's flags."""
        return self.preset == "safe"

    @property
    def cutoff_tokens(self) -> int:
        """The cutoff in force, in tokens of the whole example; 0 = none."""
        return PRESETS[self.preset]["cutoff_len"] if self.cutoff_len is None else self.cutoff_len

    @property
    def cap(self) -> int:
        """The examples of one question group in force; 0 = no cap."""
        return PRESETS[self.preset]["per_question"] if self.per_question is None else self.per_question

    @property
    def dropping(self) -> frozenset[str]:
        """Names of the row rules that drop: the preset's, plus a cutoff that was asked for, less what is kept."""
        asked = {"over_cutoff"} if self.cutoff_len else set()
        off = {*self.keep}
        if self.verify == "off":
            off |= {"wrong_answer", "no_answer"}
        if self.preset == "paper" and not self.one_generation:
            off.add("cut_off")
        return (DROPPING[self.preset] | asked) - off
