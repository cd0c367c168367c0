"""The options that commands share, in groups, and how they become settings."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from select2reason.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from select2reason.backends import BackendSettings
    from select2reason.difficulty.judge import JudgePrompt
    from select2reason.recipe import PoolSettings, ScoreSettings
    from select2reason.tables import Table

MOST = 2**63 - 1  # the largest whole number that a manifest can hold
READ, SCORE, CHOOSE, RULES, OUT = "Reading", "Scoring", "What is taken", "What is left out", "Output"
ENGINE, SAMPLE = "The model", "Sampling"

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

    def settings(self, pools: list[str], *, carry: str = "all") -> PoolSettings:
        """As the pipeline takes them."""
        from select2reason.layouts import parse_columns
        from select2reason.recipe import PoolSettings

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
        )


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


@dataclass(frozen=True)
class Engine:
    """Which model runs, and on what."""

    model: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a chat model, or its name on the server.", rich_help_panel=ENGINE),
    ] = None
    backend: Annotated[
        Literal["transformers", "vllm", "openai"] | None,
        typer.Option(
            help="What runs it: here with transformers or vLLM, or any server that speaks OpenAI's protocol. "
            "[default: openai with --base-url, else transformers]",
            rich_help_panel=ENGINE,
        ),
    ] = None
    base_url: Annotated[
        str | None,
        typer.Option(
            help="The server's address, e.g. http://127.0.0.1:8000/v1; its key is read from OPENAI_API_KEY.",
            rich_help_panel=ENGINE,
        ),
    ] = None
    model_revision: Annotated[str | None, typer.Option(help="Revision of a Hub model.", rich_help_panel=ENGINE)] = None
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Type of number. [default: bfloat16 on a GPU, float32 on a CPU]", rich_help_panel=ENGINE),
    ] = None
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.", rich_help_panel=ENGINE)
    ] = False
    batch_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens in one batch of transformers. [default: by device]", rich_help_panel=ENGINE),
    ] = None
    max_model_len: Annotated[
        int | None, typer.Option(min=1, help="Longest prompt and answer of vLLM, in tokens.", rich_help_panel=ENGINE)
    ] = None
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to the server at once.", rich_help_panel=ENGINE)] = (
        32
    )
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Seconds for one request, first to last byte. [default: 120, rollout: 1800]",
            rich_help_panel=ENGINE,
        ),
    ] = None

    def settings(self, default_model: str | None = None) -> BackendSettings:
        """As the backends take them. Raises UsageError where no model is named."""
        from select2reason.backends import BackendSettings

        model = self.model or default_model
        if model is None:
            raise UsageError("name the model: --model FOLDER, or a Hub id, or its name on the server")
        return BackendSettings(
            kind=self.backend or ("openai" if self.base_url else "transformers"),
            model=model,
            revision=self.model_revision,
            dtype=self.dtype,
            trust_remote_code=self.trust_remote_code,
            batch_tokens=self.batch_tokens,
            max_model_len=self.max_model_len,
            base_url=self.base_url,
            concurrency=self.concurrency,
            timeout_s=self.timeout,
        )


@dataclass(frozen=True)
class Drawing:
    """How answers are drawn; None: as the command, or the benchmark, does by itself."""

    answers: Annotated[
        int | None,
        typer.Option(
            "--answers",
            "-n",
            min=1,
            max=10_000,
            help="Answers a question. [default: rollout 8; evaluate 16 for AIME and AMC, else 1]",
            rich_help_panel=SAMPLE,
        ),
    ] = None
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="0: always the same answer. [default: rollout 0.6; evaluate 0.6 for AIME and AMC, else 0]",
            rich_help_panel=SAMPLE,
        ),
    ] = None
    top_p: Annotated[
        float | None,
        typer.Option(
            min=0.000001,
            max=1,
            help="Share of likely tokens drawn from. [default: 0.95; evaluate 1 where greedy]",
            rich_help_panel=SAMPLE,
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST,
            help="Longest answer; raised later, only cut-off ones are redone. [default: 16384]",
            rich_help_panel=SAMPLE,
        ),
    ] = None
    system: Annotated[
        str | None,
        typer.Option(help="System text; empty for none. [default: the paper's]", rich_help_panel=SAMPLE),
    ] = None
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Seed of the draws.", rich_help_panel=SAMPLE)] = 0

    def given(self) -> dict[str, float]:
        """What was said of the sampling, by the names of `Sampling`."""
        said = {"n": self.answers, "temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        return {name: value for name, value in said.items() if value is not None}

    @property
    def system_text(self) -> str:
        """The system turn's text."""
        from select2reason.sampling import PAPER_SYSTEM

        return PAPER_SYSTEM if self.system is None else self.system


@dataclass(frozen=True)
class Judging:
    """What the judge is told."""

    judge_system: Annotated[
        str | None,
        typer.Option(help="System text of --difficulty judge. [default: the paper's]", rich_help_panel=SCORE),
    ] = None
    judge_prompt: Annotated[
        str | None,
        typer.Option(
            help="User text of --difficulty judge, with {question} in it. [default: {question}]", rich_help_panel=SCORE
        ),
    ] = None

    def settings(self) -> JudgePrompt:
        """As the judge takes it."""
        from select2reason.difficulty.judge import PAPER_SYSTEM, JudgePrompt

        system = PAPER_SYSTEM if self.judge_system is None else self.judge_system
        return JudgePrompt(system, "{question}" if self.judge_prompt is None else self.judge_prompt)


@dataclass(frozen=True)
class Checking:
    """How answers are verified, and which benchmarks are looked for."""

    verify: Annotated[
        Literal["auto", "pool", "grade", "off"],
        typer.Option(
            help="Who says which answers are wrong: `pool` its own flags, `grade` the grader by the gold answers, "
            "`auto` the flags and for rows without one the grader, `off` nobody.",
            rich_help_panel=RULES,
        ),
    ] = "auto"
    contamination: Annotated[
        Literal["on", "off"],
        typer.Option(help="Look for problems of the benchmarks; `safe` leaves them out.", rich_help_panel=RULES),
    ] = "on"
    benchmark_files: Annotated[
        str,
        typer.Option(
            help="Benchmarks of your own to look for as well: `FILE,...` of any table of questions.",
            rich_help_panel=RULES,
        ),
    ] = ""

    def score_settings(self, tokenizer: str, difficulty: str, engine: Engine, judging: Judging) -> ScoreSettings:
        """Everything that is scored, as the pipeline takes it."""
        from select2reason.recipe import ScoreSettings

        if self.benchmark_files and self.contamination == "off":
            raise UsageError("--benchmark-files are looked for by --contamination on; leave one of the two out")
        settings, prompt = judge_options(difficulty, engine, judging)
        return ScoreSettings(
            tokenizer=tokenizer,
            difficulty=difficulty,
            engine=settings,
            judge=prompt,
            contamination=self.contamination == "on",
            benchmark_files=words(self.benchmark_files),
        )


def judge_options(
    difficulty: str, engine: Engine, judging: Judging
) -> tuple[BackendSettings | None, JudgePrompt | None]:
    """Model and prompt of --difficulty judge; None for every other, which must not be given any."""
    if difficulty == "judge":
        from select2reason.difficulty.judge import PAPER_MODEL

        return engine.settings(PAPER_MODEL), judging.settings()
    if engine != Engine() or judging != Judging():
        raise UsageError(f"--difficulty {difficulty} asks no model; add --difficulty judge, or leave its options out")
    return None, None


def words(text: str) -> tuple[str, ...]:
    """`a,b` as its parts."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def command_line() -> str:
    """What was typed, for a manifest."""
    return shlex.join(["select2reason", *sys.argv[1:]])


def print_json(result: object, **changed: object) -> None:
    """A command's result for machines: a dataclass, what is undefined as null."""
    import orjson

    plain = orjson.loads(orjson.dumps(result, default=str))
    typer.echo(orjson.dumps(plain | changed, default=str).decode())


def print_paths(paths: list[Path]) -> None:
    """The last words of every command that wrote."""
    typer.echo("wrote")
    for path in paths:
        typer.echo(f"  {path}")
