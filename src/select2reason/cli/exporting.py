"""`export` and `extend`: a selection and a model made ready for a trainer."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from select2reason.cli.app import app
from select2reason.cli.groups import grouped
from select2reason.cli.options import OUT, AsJson, Force, command_line, echo, print_json, print_paths
from select2reason.errors import OutputError, UsageError

if TYPE_CHECKING:
    from select2reason.extension import Extension

CONTEXT = "The model's context"
SelectionFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `select` wrote.")]


@dataclass(frozen=True)
class Extending:
    """How far a model reads: raised in a copy of its config."""

    rope_theta: Annotated[
        float | None,
        typer.Option(min=1, help="Raise rope_theta, for a longer context; the paper: 300000.", rich_help_panel=CONTEXT),
    ] = None
    context: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000_000,
            help="Raise max_position_embeddings to this many tokens; the paper: 32768.",
            rich_help_panel=CONTEXT,
        ),
    ] = None

    def settings(self) -> Extension:
        """As training takes it."""
        from select2reason.extension import Extension

        return Extension(self.rope_theta, self.context)


@app.command(
    epilog="""
Examples:

`select2reason export best --to llamafactory --out for-llamafactory`

`select2reason export best --to trl --model Qwen/Qwen3-8B --out for-trl`

`select2reason export best --to hub --repo me/openr1-10pct`
"""
)
@grouped
def export(
    selection: SelectionFolder,
    to: Annotated[
        Literal["llamafactory", "trl", "axolotl", "sharegpt", "alpaca", "hub"],
        typer.Option(help="Who reads it: a trainer with its configuration, rows alone, or the Hugging Face Hub."),
    ],
    extending: Extending,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write; put in place when whole.", rich_help_panel=OUT),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model to be trained. [default: the paper's, Qwen/Qwen2.5-Math-7B-Instruct]"),
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="LLaMA-Factory's chat template. [default: by the model's name]")
    ] = None,
    repo: Annotated[str | None, typer.Option(help="Dataset on the Hub: owner/name.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new dataset on the Hub public.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Hand a selection to a trainer, whole and with the right settings, or put it on the Hub."""
    if to == "hub":
        _to_hub(selection, repo, public=public, told=(out, model, template), as_json=as_json)
        return
    if out is None or repo is not None or public:
        raise UsageError(f"--to {to} takes --out DIR; --repo and --public are for --to hub")
    if to in ("sharegpt", "alpaca") and (model is not None or extending != Extending()):
        raise UsageError(f"--to {to} writes rows alone; leave out what is said of a model")
    if template is not None and to != "llamafactory":
        raise UsageError("--template names one of LLaMA-Factory's; leave it out, or use --to llamafactory")
    from select2reason.chosen import open_chosen
    from select2reason.export.handover import PAPER_MODEL, ForModel, hand_over
    from select2reason.extension import PAPER

    name = model or PAPER_MODEL
    extension = extending.settings() or (PAPER if name == PAPER_MODEL else extending.settings())
    written = hand_over(
        open_chosen(selection),
        to,
        out,
        model=ForModel(name, template, extension),
        command=command_line(),
        force=force,
    )
    if as_json:
        print_json(written)
        return
    echo(
        f"{written.rows:,} examples, {written.tokens:,} tokens, the longest {written.longest:,}; "
        f"the limit is {written.cutoff_len:,}{': none is cut' if written.uncut else ''}"
    )
    for note in written.notes:
        echo(f"note: {note}")
    print_paths([out / name for name in written.files])
    if written.commands:
        echo("\n".join(["run", f"  cd {shlex.quote(str(out))}", *(f"  {command}" for command in written.commands)]))


def _to_hub(selection: Path, repo: str | None, *, public: bool, told: tuple[object, ...], as_json: bool) -> None:
    from select2reason.chosen import open_chosen

    if repo is None or any(one is not None for one in told):
        raise UsageError("--to hub takes --repo owner/name, and neither --out nor what is said of a model")
    from select2reason.export.upload import upload

    done = upload(open_chosen(selection), repo, public=public)
    if as_json:
        print_json(done)
    else:
        echo(f"{done.rows:,} examples are at {done.url}, {done.seen}")


@app.command(
    epilog="Example: `select2reason extend Qwen/Qwen2.5-Math-7B --rope-theta 300000 --context 32768 --out longer`"
)
@grouped
def extend(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder or Hub id of a model.")],
    extending: Extending,
    out: Annotated[Path, typer.Option("--out", help="Folder to write.", rich_help_panel=OUT)],
    revision: Annotated[str | None, typer.Option("--model-revision", help="Revision of a Hub model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a model with a longer context: its config raised for every trainer, its weights linked as they are."""
    from select2reason.backends.model_folder import model_folder
    from select2reason.export import whole_folder
    from select2reason.extension import write_extended

    extension = extending.settings()
    if not extension:
        raise UsageError("say how far: --rope-theta 300000 --context 32768 are the paper's")
    if out.exists():
        raise OutputError(f"{out} exists; choose another --out")
    source = model_folder(model, revision)
    with whole_folder(out, force=False, kind="model") as folder:
        changed = write_extended(source, folder, extension)
    if as_json:
        print_json({"out": out, "changed": changed})
        return
    for line in changed or ["nothing had to be raised"]:
        echo(line)
    print_paths([out])
