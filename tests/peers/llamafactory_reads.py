"""What LLaMA-Factory trains on, by its own parser, loader, template and tokenising: EXPORT TOKENIZER ANSWER.json."""

import importlib.machinery
import json
import sys
import tempfile
import types
from pathlib import Path

stub = types.ModuleType("torchaudio")  # imported there for sound, which is not used here
stub.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = stub

import yaml  # noqa: E402
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer  # noqa: E402
from llamafactory.hparams import get_train_args  # noqa: E402
from llamafactory.model import load_tokenizer  # noqa: E402

export, tokenizer, answer = map(Path, sys.argv[1:])
settings = yaml.safe_load((export / "train.yaml").read_text())
here = {  # what this machine has instead: no GPU, and the tokenizer for the model
    "model_name_or_path": str(tokenizer),
    "dataset_dir": str(export),
    "output_dir": tempfile.mkdtemp(),
    "preprocessing_num_workers": 1,
    "overwrite_cache": True,
    "deepspeed": None,
    "bf16": False,
    "use_cpu": True,
    "flash_attn": "auto",
    "enable_liger_kernel": False,
}
model, data, training, finetuning, _ = get_train_args(settings | here)
module = load_tokenizer(model)
template = get_template_and_fix_tokenizer(module["tokenizer"], data)
rows = get_dataset(template, model, data, training, stage="sft", **module)["train_dataset"]
told = {
    "input_ids": [row["input_ids"] for row in rows],
    "labels": [row["labels"] for row in rows],
    "settings": {
        "learning_rate": training.learning_rate,
        "epochs": training.num_train_epochs,
        "scheduler": training.lr_scheduler_type.value,
        "warmup": training.warmup_ratio,
        "accumulation": training.gradient_accumulation_steps,
        "cutoff_len": data.cutoff_len,
        "finetuning": finetuning.finetuning_type,
    },
}
answer.write_text(json.dumps(told))
