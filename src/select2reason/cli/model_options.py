"""The options of models and of what is scored with them: the engine, how answers are drawn, the judge, the checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from select2reason.cli.options import MOST, RULES, SCORE, words
from select2reason.errors import UsageError

if TYPE_CHECKING:
    from select2reason.backends import BackendSettings
    from select2reason.difficulty.judge import JudgePrompt
    from select2reason.settings import ScoreSettings

ENGINE, SAMPLE = "The model", "Sampling"


def _address(base_url: str | None) -> str | None:
    """Looked at before anything is said or written of it."""
    if base_url is None:
        return None
    from select2reason.backends import check_address

    return check_address(base_url)


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
            callback=_address,
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
        Literal["on", "off"] | None,
        typer.Option(
            help="Look for problems of the benchmarks; `safe` leaves them out. [default: on, paper: off]",
            rich_help_panel=RULES,
        ),
    ] = None
    benchmark_files: Annotated[
        str,
        typer.Option(
            help="Benchmarks of your own to look for as well: `FILE,...` of any table of questions.",
            rich_help_panel=RULES,
        ),
    ] = ""

    def score_settings(self, tokenizer: str, difficulty: str, engine: Engine, judging: Judging) -> ScoreSettings:
        """Everything that is scored, as the pipeline takes it."""
        from select2reason.settings import ScoreSettings

        if self.benchmark_files and self.contamination == "off":
            raise UsageError("--benchmark-files are looked for by --contamination on; leave one of the two out")
        settings, prompt = judge_options(difficulty, engine, judging)
        return ScoreSettings(
            tokenizer=tokenizer,
            difficulty=difficulty,
            engine=settings,
            judge=prompt,
            contamination=None if self.contamination is None else self.contamination == "on",
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
