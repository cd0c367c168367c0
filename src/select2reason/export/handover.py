r"""A selection handed over to a trainer: its rows, its configuration with METHOD 6's settings, and the command to run.

`cutoff_len` and its like are never below the longest example, and no chat template is named that would add a system
prompt or an empty think block, or strip a thought: LLaMA-Factory's reasoning templates and the templates of reasoning
models do, so each family is given the plain template of the same format.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from select2reason.backends.chat_format import CHATML
from select2reason.chosen import Chosen
from select2reason.errors import OutputError, UsageError
from select2reason.export import configurations, formats
from select2reason.export.folder import file_digests, whole_folder
from select2reason.extension import Extension, Reach, advice, reach, read_config
from select2reason.files import write_json
from select2reason.progress import stage

Trainer = Literal["llamafactory", "trl", "axolotl", "sharegpt", "alpaca"]
PAPER_MODEL = "Qwen/Qwen2.5-Math-7B-Instruct"  # METHOD 6
_SHORT_SIGHTED, _SHORT_SIGHT = "qwen2.5-math", Reach(10_000.0, 4_096)  # as their configs say (METHOD 6)
EXTENDED = "model"  # the folder, beside the configuration, where the model with the longer context is put


@dataclass(frozen=True, slots=True)
class Family:
    """Models with one chat format: a word of their names, LLaMA-Factory's plain template for it, and whether the
    format is ChatML."""

    word: str
    llamafactory: str
    chatml: bool = False


FAMILIES = (  # the first whose word is in the model's name
    Family("deepseek-r1-distill", "deepseek3"),  # deepseekr1 would add empty thoughts
    Family("qwen3", "qwen3_nothink", chatml=True),  # qwen3 would
    Family("qwen2", "qwen", chatml=True),
    Family("qwq", "qwen", chatml=True),
    Family("smollm", "smollm2", chatml=True),
    Family("llama-3", "llama3"),
    Family("phi-4-mini", "phi4_mini"),
    Family("phi-4", "phi4"),
)
CHATML_HERE = Family("", "chatml", chatml=True)  # a model in a folder, by its tokens


@dataclass(frozen=True, slots=True)
class ForModel:
    """The model that is to be trained. `template` is LLaMA-Factory's, None: by the model's name."""

    name: str = PAPER_MODEL
    template: str | None = None
    extension: Extension = Extension()  # noqa: RUF009 -- frozen

    @property
    def folder(self) -> Path | None:
        """Where the model is, if it is here. Raises UsageError for a path that leads nowhere."""
        folder = Path(self.name).expanduser()
        if folder.is_dir():
            return folder.resolve()
        if self.name.count("/") != 1 or self.name.startswith((".", "/", "~")):
            raise UsageError(f"no such folder: {self.name}; give a model's folder, or a Hub id")
        return None

    @property
    def family(self) -> Family | None:
        """What is known of its chat format: by its name, or by the tokens of a model that is here."""
        name = self.name.rstrip("/").rpartition("/")[2].lower()
        known = next((one for one in FAMILIES if one.word in name), None)
        if known is None and self.folder is not None and _speaks_chatml(self.folder):
            return CHATML_HERE
        return known

    @property
    def context(self) -> int | None:
        """How many tokens it will read, where that is known: as asked for, by its config, or by its name."""
        if self.extension.context is not None:
            return self.extension.context
        return self.reach.context

    @property
    def reach(self) -> Reach:
        """How far it reads by itself, by its config or by its name."""
        if self.folder is not None and (self.folder / "config.json").is_file():
            return reach(read_config(self.folder))
        return _SHORT_SIGHT if _SHORT_SIGHTED in self.name.lower() else Reach(None, None)

    @property
    def path(self) -> str:
        """What a configuration names as the model."""
        return EXTENDED if self.extension else self.there

    @property
    def there(self) -> str:
        """The model from any folder."""
        return self.name if self.folder is None else str(self.folder)


def _speaks_chatml(folder: Path) -> bool:
    """Whether a tokenizer has ChatML's marks as tokens; contents of other templates are not looked at."""
    file = folder / "tokenizer.json"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return all(f'"{mark}"' in text for mark in ("<|im_start|>", "<|im_end|>"))


@dataclass(frozen=True, slots=True)
class Handover:
    """What was written, what to run there in order, and what its user should know."""

    out: Path
    trainer: Trainer
    rows: int
    tokens: int
    longest: int
    cutoff_len: int
    files: tuple[str, ...]
    commands: tuple[str, ...]
    notes: tuple[str, ...]
    uncut: bool  # by the model's own tokens, and not those of another tokenizer alone


def hand_over(
    chosen: Chosen, trainer: Trainer, out: Path, *, model: ForModel, command: str, force: bool = False
) -> Handover:
    """Write the selection for a trainer into `out`, whole or not at all.

    Raises UsageError where the model's chat format is not known to be safe with this trainer, or its context would be
    below the longest example.
    """
    if out.expanduser().resolve().is_relative_to(chosen.folder.resolve()):
        raise OutputError(f"{out} is within the selection, whose folder is what it is made of; choose another --out")
    context = model.extension.context
    if context is not None and context < chosen.longest:
        raise UsageError(f"--context {context} is below the longest example, {chosen.longest:,} tokens; raise it")
    make = _MAKERS[trainer]
    settings, commands = make.plan(chosen, model)
    with whole_folder(out, force=force, kind="export") as folder, stage("exporting", chosen.rows) as advance:
        make.rows(chosen, make.shape(), folder, advance)
        for name, text in settings.items():
            (folder / name).write_text(text, encoding="utf-8")
        notes = tuple(_notes(chosen, trainer, model))
        readme = configurations.readme(chosen, trainer, commands, notes)
        (folder / "README.md").write_text(readme, encoding="utf-8")
        manifest = {
            "format": 1,
            "kind": "export",
            "versions": {"select2reason": version("select2reason")},
            "command": command,
            "selection": {"digest": chosen.digest, "rows": chosen.rows, "tokens": chosen.tokens},
            "trainer": trainer,
            "model": model.name,
            "cutoff_len": chosen.limit,
        }
        write_json(folder / "manifest.json", {**manifest, "outputs": file_digests(folder)})
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Handover(
        out,
        trainer,
        chosen.rows,
        chosen.tokens,
        chosen.longest,
        chosen.limit,
        tuple(files),
        tuple(commands),
        notes,
        uncut=_counted_alike(chosen, model),
    )


def _notes(chosen: Chosen, trainer: Trainer, model: ForModel) -> list[str]:
    notes = []
    if not chosen.cutoff_tokens:
        notes.append(f"the selection has no cutoff; the limit set is its longest example, {chosen.longest:,} tokens")
    if trainer in ("sharegpt", "alpaca"):
        return notes
    if not _counted_alike(chosen, model):
        counted = "Qwen2.5's tokenizer" if chosen.builtin_counts else f"the tokenizer {chosen.tokenizer}"
        notes.append(
            f"tokens were counted with {counted}, not with that of {model.name}, which may count more and cut the "
            f"longest; select again with --tokenizer {model.name}"
        )
    far = model.context
    if far is not None and far < chosen.limit:
        notes.append(
            f"{model.name} reads {far:,} tokens, the limit is {chosen.limit:,}; add {advice(model.reach, chosen.limit)}"
        )
    plain = model.template in (None, *(one.llamafactory for one in FAMILIES))
    if trainer == "llamafactory" and chosen.untagged and not plain:
        notes.append(f"if {model.template} is a reasoning template, it adds empty thoughts to examples without tags")
    if chosen.untagged:
        notes.append(f"{chosen.untagged:,} of {chosen.rows:,} examples have no think tags; they train as they are")
    return notes


def _counted(chosen: Chosen, model: ForModel) -> str:
    """By whose tokens a configuration's limit is none."""
    return "" if _counted_alike(chosen, model) else " by the tokens that the selection counted"


def _counted_alike(chosen: Chosen, model: ForModel) -> bool:
    if chosen.builtin_counts:
        return model.family is not None and model.family.word.startswith("qw")  # one vocabulary for all of them
    return chosen.tokenizer.rstrip("/") == model.name.rstrip("/") or chosen.tokenizer == model.there


# --- each trainer ---------------------------------------------------------------------------------------------------

Settled = tuple[dict[str, str], list[str]]  # files by name, and commands


@dataclass(frozen=True, slots=True)
class _Maker:
    shape: Callable[[], formats.Expressions]
    rows: Callable[[Chosen, formats.Expressions, Path, Callable[[float], None]], None]
    plan: Callable[[Chosen, ForModel], Settled]


def _llamafactory(chosen: Chosen, model: ForModel) -> Settled:
    template = model.template or (model.family.llamafactory if model.family else None)
    if template is None:
        raise UsageError(
            f"it is not known which LLaMA-Factory template {model.name} has; name it with --template (gemma2, ...)"
        )
    files = {
        "train.yaml": configurations.llamafactory(model.path, template, chosen.limit, _counted(chosen, model)),
        "dataset_info.json": configurations.dataset_info(),
        "deepspeed.json": configurations.deepspeed(),
    }
    return files, [*_extending(model), "llamafactory-cli train train.yaml"]


def _trl(chosen: Chosen, model: ForModel) -> Settled:
    _only_chatml(model, "trl")
    files = {
        "train.yaml": configurations.trl(model.path, chosen.limit, _counted(chosen, model)),
        "chat_template.jinja": CHATML,
    }
    return files, [*_extending(model), "trl sft --config train.yaml"]


def _axolotl(chosen: Chosen, model: ForModel) -> Settled:
    _only_chatml(model, "axolotl")
    files = {
        "train.yaml": configurations.axolotl(model.path, chosen.limit, _counted(chosen, model)),
        "deepspeed.json": configurations.deepspeed(),
    }
    return files, [*_extending(model), "axolotl train train.yaml"]


def _rows_alone(chosen: Chosen, model: ForModel) -> Settled:
    return {}, []


_MAKERS: dict[Trainer, _Maker] = {
    "llamafactory": _Maker(formats.messages, formats.write_lines, _llamafactory),
    "trl": _Maker(formats.prompt_completion, formats.write_parquet, _trl),
    "axolotl": _Maker(formats.messages, formats.write_lines, _axolotl),
    "sharegpt": _Maker(formats.sharegpt, formats.write_lines, _rows_alone),
    "alpaca": _Maker(formats.alpaca, formats.write_lines, _rows_alone),
}


def _only_chatml(model: ForModel, trainer: str) -> None:
    """Other formats would have to be left to the model's own template, and those of reasoning models strip thoughts."""
    if model.family is None or not model.family.chatml:
        known = ", ".join(one.word for one in FAMILIES if one.chatml)
        raise UsageError(
            f"--to {trainer} knows models of ChatML's format ({known}), and {model.name} may not be one; "
            "`select2reason train` takes any chat model, --to sharegpt gives the rows alone"
        )


def _extending(model: ForModel) -> list[str]:
    if not model.extension:
        return []
    words = ["select2reason", "extend", model.there]
    if model.extension.rope_theta is not None:
        words += ["--rope-theta", f"{model.extension.rope_theta:.0f}"]
    if model.extension.context is not None:
        words += ["--context", str(model.extension.context)]
    return [shlex.join([*words, "--out", EXTENDED])]
