"""What Axolotl trains on, by its own schema, loader and chat template: EXPORT TOKENIZER ANSWER.json."""

import json
import os
import sys
import tempfile
import types
from pathlib import Path

scratch = tempfile.mkdtemp()
os.environ |= {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_DATASETS_CACHE": f"{scratch}/cache",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}
numba = types.ModuleType("numba")  # it speeds up the sampler of packs, which is not used here
numba.njit = lambda f=None, **_: f if callable(f) else (lambda g: g)
sys.modules |= {"numba": numba, "posthog": types.ModuleType("posthog")}


def read(export: Path, tokenizer: Path) -> dict:
    import axolotl.cli.config
    import axolotl.utils.data.sft
    import yaml
    from axolotl.integrations.config import merge_input_args
    from axolotl.loaders.tokenizer import load_tokenizer
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.schemas.datasets import SFTDataset

    os.chdir(export)  # as its user does
    settings = yaml.safe_load(Path("train.yaml").read_text())
    here = {  # what this machine has instead
        "base_model": str(tokenizer),
        "dataset_prepared_path": f"{scratch}/prepared",
        "output_dir": f"{scratch}/out",
        "dataset_num_proc": 0,
        "shuffle_merged_datasets": False,
    }
    axolotl.cli.config.prepare_optim_env = lambda cfg: None  # it starts DeepSpeed
    config = axolotl.cli.config.load_cfg(DictDefault(json.loads(json.dumps(settings | here))))
    _, schema = merge_input_args()
    unknown = [name for name in settings if name not in _names(schema)]
    unknown += [name for name in settings["datasets"][0] if name not in _names(SFTDataset)]
    axolotl.utils.data.sft.save_preprocessed_dataset = lambda *_, **__: None  # a cache
    rows, *_ = axolotl.utils.data.sft.prepare_datasets(config, load_tokenizer(config))
    return {
        "unknown": unknown,
        "input_ids": [list(ids) for ids in rows["input_ids"]],
        "labels": [list(labels) for labels in rows["labels"]],
        "settings": {
            "learning_rate": float(config.learning_rate),
            "epochs": config.num_epochs,
            "scheduler": config.lr_scheduler,
            "warmup": config.warmup_ratio,
            "accumulation": config.gradient_accumulation_steps,
            "cutoff_len": config.sequence_len,
            "finetuning": config.adapter or "full",
        },
    }


def _names(schema: type) -> set:
    fields = schema.model_fields.items()
    aliases = {alias for _, field in fields for alias in (field.alias, field.validation_alias)}
    return {name for name, _ in fields} | {alias for alias in aliases if isinstance(alias, str)}


if __name__ == "__main__":
    words = [Path(word).resolve() for word in sys.argv[1:]]
    words[2].write_text(json.dumps(read(*words[:2])))
