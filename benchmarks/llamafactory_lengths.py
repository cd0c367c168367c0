"""Whether LLaMA-Factory's own length rule keeps every row of a selection whole, and counts the tokens that we count.

    PYTHON benchmarks/llamafactory_lengths.py DIR CUTOFF TOKENIZER_JSON

PYTHON is that of an environment with llamafactory (0.9.5 was used), DIR a selection's folder, TOKENIZER_JSON Qwen2.5's.
Every row goes through its loader, converter and supervised processor under `template: qwen`, once with the cutoff and
once with none to speak of. Exits 1 where a row is cut or dropped.
"""

import contextlib
import importlib.machinery
import io
import json
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": tempfile.mkdtemp()}
stub = types.ModuleType("torchaudio")  # imported there for sound, which is not used here
stub.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = stub

import pyarrow.parquet as pq  # noqa: E402
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer  # noqa: E402
from llamafactory.hparams import get_train_args  # noqa: E402
from llamafactory.model import load_tokenizer  # noqa: E402

_NONE = 1_000_000  # no example is as long
_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def rows_at(folder: Path, cutoff: int, work: Path) -> list[list[int]]:
    """The token ids of every row that LLaMA-Factory trains on under this cutoff, in order."""
    described = {
        "hf_hub_url": str(folder.resolve()),
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {**_TAGS, "system_tag": "system"},
    }
    (work / "dataset_info.json").write_text(json.dumps({"selection": described}))
    model, data, training, _, _ = get_train_args(
        {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": str(work / "tokenizer"),
            "template": "qwen",
            "dataset": "selection",
            "dataset_dir": str(work),
            "cutoff_len": cutoff,
            "output_dir": str(work / "out"),
            "overwrite_cache": True,
            "use_cpu": True,
            "report_to": "none",
            "finetuning_type": "lora",
        }
    )
    module = load_tokenizer(model)
    template = get_template_and_fix_tokenizer(module["tokenizer"], data)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its first example
        found = get_dataset(template, model, data, training, stage="sft", **module)["train_dataset"]
    return [row["input_ids"] for row in found]


def main() -> int:
    folder, cutoff, tokenizer = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    files = sorted((folder / "data").glob("train-*.parquet"))
    ours = [n for file in files for n in pq.read_table(file, columns=["total_tokens"])["total_tokens"].to_pylist()]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / "tokenizer").mkdir()
        shutil.copy(tokenizer, work / "tokenizer" / "tokenizer.json")
        about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        (work / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(about))
        (work / "tokenizer" / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
        under, whole = rows_at(folder, cutoff, work), rows_at(folder, _NONE, work)
    cut = sum(a != b for a, b in zip(under, whole, strict=True))
    dropped = len(ours) - len(whole)
    unlike = sum(n != len(row) for n, row in zip(ours, whole, strict=False)) if not dropped else len(ours)
    print(
        f"{folder}: {len(ours):,} rows, cut {cut}, dropped {dropped}, counted otherwise {unlike}, longest {max(ours):,}"
    )
    return 1 if cut or dropped else 0


if __name__ == "__main__":
    sys.exit(main())
