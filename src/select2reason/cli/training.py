"""`train`: a model tuned on a selection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from select2reason.cli.app import app
from select2reason.cli.exporting import Extending, SelectionFolder
from select2reason.cli.groups import grouped
from select2reason.cli.options import AsJson, command_line, echo, print_json, print_paths, words
from select2reason.errors import UsageError

if TYPE_CHECKING:
    from select2reason.training import Means, TrainSettings

HOW, MACHINE = "Training", "Machine"


@dataclass(frozen=True)
class Tuning:
    """What decides which model comes out."""

    lora: Annotated[
        bool, typer.Option("--lora", help="Train low-rank adapters, merged in the end.", rich_help_panel=HOW)
    ] = False
    lora_rank: Annotated[
        int | None, typer.Option(min=1, help="Rank of the adapters. [default: 32]", rich_help_panel=HOW)
    ] = None
    epochs: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Passes over the selection; the paper does not say. [default: 3]", rich_help_panel=HOW
        ),
    ] = None
    max_steps: Annotated[int | None, typer.Option(min=1, help="Steps, instead of --epochs.", rich_help_panel=HOW)] = (
        None
    )
    learning_rate: Annotated[
        float | None,
        typer.Option(min=0, help="Highest rate of the cosine. [default: 5e-5, --lora: 2e-4]", rich_help_panel=HOW),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Examples of one step over all GPUs. [default: 4 times those at once, as the paper's]",
            rich_help_panel=HOW,
        ),
    ] = None
    per_device: Annotated[int, typer.Option(min=1, help="Examples on one GPU at once.", rich_help_panel=HOW)] = 1
    packing: Annotated[
        Literal["off", "padding-free", "bfd"],
        typer.Option(
            help="`padding-free`: the examples at once end to end; `bfd`: also several short ones in the place of one.",
            rich_help_panel=HOW,
        ),
    ] = "off"
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the order.", rich_help_panel=HOW)] = 42
    model_revision: Annotated[str | None, typer.Option(help="Revision of a Hub model.", rich_help_panel=MACHINE)] = None
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.", rich_help_panel=MACHINE)
    ] = False

    def settings(self, model: str, extending: Extending) -> TrainSettings:
        """As training takes them."""
        from select2reason.training import TrainSettings
        from select2reason.training.settings import EPOCHS, LORA_RANK

        if self.lora_rank is not None and not self.lora:
            raise UsageError("--lora-rank is for --lora; add it, or leave the rank out")
        if self.epochs is not None and self.max_steps is not None:
            raise UsageError("give only one of --epochs and --max-steps")
        return TrainSettings(
            model=model,
            revision=self.model_revision,
            trust_remote_code=self.trust_remote_code,
            extension=extending.settings(),
            lora=self.lora,
            lora_rank=self.lora_rank or LORA_RANK,
            epochs=self.epochs or EPOCHS,
            max_steps=self.max_steps,
            learning_rate=self.learning_rate,
            batch=self.batch_size,
            per_device=self.per_device,
            packing=self.packing,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Computing:
    """How it is computed."""

    parallel: Annotated[
        Literal["auto", "ddp", "zero2", "zero3", "fsdp"],
        typer.Option(
            help="How several GPUs share the work. [default: zero3 where DeepSpeed is installed, else fsdp]",
            show_default=False,
            rich_help_panel=MACHINE,
        ),
    ] = "auto"
    attention: Annotated[
        str | None,
        typer.Option(
            help="transformers' name of it. [default: flash_attention_2 where it is installed, else sdpa]",
            rich_help_panel=MACHINE,
        ),
    ] = None
    liger: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(
            help="Liger's kernels. [default: where they are installed]", show_default=False, rich_help_panel=MACHINE
        ),
    ] = "auto"
    gradient_checkpointing: Annotated[
        bool,
        typer.Option(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            help="Less memory for a third more time.",
            rich_help_panel=MACHINE,
        ),
    ] = True
    save_every: Annotated[
        int | None,
        typer.Option(min=1, help="Steps between checkpoints. [default: a tenth]", rich_help_panel=MACHINE),
    ] = None
    keep_checkpoints: Annotated[int, typer.Option(min=1, help="How many are kept.", rich_help_panel=MACHINE)] = 1
    report_to: Annotated[
        str,
        typer.Option(
            help="Trackers: `wandb,tensorboard,trackio,...` [default: none]",
            show_default=False,
            rich_help_panel=MACHINE,
        ),
    ] = ""

    def settings(self) -> Means:
        """As training takes them."""
        from select2reason.training import Means

        return Means(
            parallel=self.parallel,
            attention=self.attention,
            liger=self.liger,
            gradient_checkpointing=self.gradient_checkpointing,
            save_every=self.save_every,
            keep_checkpoints=self.keep_checkpoints,
            report_to=words(self.report_to),
        )


@app.command(
    epilog="""
Examples:

`select2reason train best --model Qwen/Qwen2.5-Math-7B-Instruct --rope-theta 300000 --context 32768 --out tuned`

`select2reason train best --model Qwen/Qwen2.5-7B-Instruct --lora --out tuned`

`select2reason evaluate --model tuned/model --benchmarks math500 --out eval`
"""
)
@grouped
def train(
    selection: SelectionFolder,
    out: Annotated[Path, typer.Option("--out", help="Folder of the training; run again, it goes on.")],
    model: Annotated[str, typer.Option(help="Folder or Hub id of the model to tune.")],
    extending: Extending,
    tuning: Tuning,
    computing: Computing,
    as_json: AsJson = False,
) -> None:
    """Tune a model on a selection: all weights or LoRA, on one GPU, several, or a CPU; run again, it goes on."""
    from select2reason.training import train as run

    done = run(selection, out, tuning.settings(model, extending), computing.settings(), command=command_line())
    if as_json:
        print_json(done)
        return
    first, last = ("no number" if loss is None else f"{loss:.3f}" for loss in (done.first_loss, done.last_loss))
    echo(f"{done.steps:,} steps, {done.tokens:,} tokens in {done.time_s:,.0f} s, loss {first} -> {last}")
    names = ["model", "adapter", "manifest.json", "log.jsonl", "train.log", "checkpoints"]
    print_paths([path for name in names if (path := out / name).exists()])
    if (kept := out / "checkpoints").is_dir() and not done.again:
        size = sum(file.stat().st_size for file in kept.rglob("*") if file.is_file())
        echo(f"{kept} holds {size / 1e9:,.2g} GB that nothing needs any more; remove it if you like")
