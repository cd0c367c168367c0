"""`train`: a model tuned on a selection."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from select2reason.cli.app import app
from select2reason.cli.exporting import Extending, SelectionFolder
from select2reason.cli.groups import grouped
from select2reason.cli.options import MOST, AsJson, Out, command_line, print_json, print_paths, words

HOW, MACHINE = "Training", "Machine"


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
    out: Out,
    model: Annotated[str, typer.Option(help="Folder or Hub id of the model to tune.")],
    extending: Extending,
    lora: Annotated[
        bool, typer.Option("--lora", help="Train low-rank adapters, merged in the end.", rich_help_panel=HOW)
    ] = False,
    lora_rank: Annotated[int, typer.Option(min=1, help="Rank of the adapters.", rich_help_panel=HOW)] = 32,
    epochs: Annotated[
        float, typer.Option(min=0.001, help="Passes over the selection; the paper does not say.", rich_help_panel=HOW)
    ] = 3,
    max_steps: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Steps, instead of --epochs.", rich_help_panel=HOW)
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=0, help="Highest rate of the cosine. [default: 5e-5, --lora: 2e-4]", rich_help_panel=HOW),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST,
            help="Examples of one step over all GPUs. [default: 4 times those at once, as the paper's]",
            rich_help_panel=HOW,
        ),
    ] = None,
    per_device: Annotated[
        int, typer.Option(min=1, max=MOST, help="Examples on one GPU at once.", rich_help_panel=HOW)
    ] = 1,
    packing: Annotated[
        Literal["off", "padding-free", "bfd"],
        typer.Option(
            help="`padding-free`: the examples at once end to end; `bfd`: also several short ones in the place of one.",
            rich_help_panel=HOW,
        ),
    ] = "off",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the order.", rich_help_panel=HOW)] = 42,
    parallel: Annotated[
        Literal["auto", "ddp", "zero2", "zero3", "fsdp"],
        typer.Option(
            help="How several GPUs share the work. [default: zero3 where DeepSpeed is installed, else fsdp]",
            rich_help_panel=MACHINE,
        ),
    ] = "auto",
    attention: Annotated[
        str | None,
        typer.Option(
            help="transformers' name of it. [default: flash_attention_2 where it is installed, else sdpa]",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    liger: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(help="Liger's kernels. [default: where they are installed]", rich_help_panel=MACHINE),
    ] = "auto",
    gradient_checkpointing: Annotated[
        bool,
        typer.Option(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            help="Less memory for a third more time.",
            rich_help_panel=MACHINE,
        ),
    ] = True,
    save_every: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Steps between checkpoints. [default: a tenth]", rich_help_panel=MACHINE),
    ] = None,
    keep_checkpoints: Annotated[
        int, typer.Option(min=1, max=MOST, help="How many are kept.", rich_help_panel=MACHINE)
    ] = 1,
    report_to: Annotated[
        str, typer.Option(help="Trackers: `wandb`, `tensorboard`, `trackio`, ...", rich_help_panel=MACHINE)
    ] = "",
    model_revision: Annotated[
        str | None, typer.Option(help="Revision of a Hub model.", rich_help_panel=MACHINE)
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.", rich_help_panel=MACHINE)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tune a model on a selection: all weights or LoRA, on one GPU, several, or a CPU; run again, it goes on."""
    from select2reason.training import Means, TrainSettings
    from select2reason.training import train as run

    done = run(
        selection,
        out,
        TrainSettings(
            model=model,
            revision=model_revision,
            trust_remote_code=trust_remote_code,
            extension=extending.settings(),
            lora=lora,
            lora_rank=lora_rank,
            epochs=epochs,
            max_steps=max_steps,
            learning_rate=learning_rate,
            batch=batch_size,
            per_device=per_device,
            packing=packing,
            seed=seed,
        ),
        Means(
            parallel=parallel,
            attention=attention,
            liger=liger,
            gradient_checkpointing=gradient_checkpointing,
            save_every=save_every,
            keep_checkpoints=keep_checkpoints,
            report_to=words(report_to),
        ),
        command=command_line(),
    )
    if as_json:
        print_json(done)
        return
    losses = "" if done.first_loss is None else f", loss {done.first_loss:.3f} -> {done.last_loss:.3f}"
    typer.echo(f"{done.steps:,} steps, {done.tokens:,} tokens in {done.time_s:,.0f} s{losses}")
    names = ["model", "adapter", "manifest.json", "log.jsonl", "train.log", "checkpoints"]
    print_paths([path for name in names if (path := out / name).exists()])
