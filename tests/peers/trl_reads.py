"""What TRL trains on, by its own parser and trainer: EXPORT TOKENIZER ANSWER.json."""

import json
import os
import sys
import tempfile
from pathlib import Path

from datasets import load_dataset
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM
from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, SFTConfig, SFTTrainer, TrlParser

export, tokenizer, answer = (Path(word).resolve() for word in sys.argv[1:])
os.chdir(export)  # as its user does
here = ["--bf16", "false", "--use_cpu", "true", "--output_dir", tempfile.mkdtemp()]
parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig, DatasetMixtureConfig))
lines = Path("train.yaml").read_text().splitlines()
launchers = ("accelerate_config:", "num_processes:")  # not the script's
text = "\n".join(line for line in lines if not line.startswith(launchers))
config = Path(tempfile.mkdtemp()) / "train.yaml"
config.write_text(text)
script, training, model, _ = parser.parse_args_and_config(["--config", str(config), *here], fail_with_unknown_args=True)
opened = AutoTokenizer.from_pretrained(tokenizer)
tiny = Qwen2ForCausalLM(
    Qwen2Config(vocab_size=len(opened), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                num_attention_heads=2, num_key_value_heads=1)
)  # fmt: skip
rows = load_dataset(script.dataset_name)[script.dataset_train_split]
trainer = SFTTrainer(model=tiny, args=training, train_dataset=rows, processing_class=opened)
told = {
    "input_ids": [row["input_ids"] for row in trainer.train_dataset],
    "labels": [row["labels"] for row in trainer.train_dataset],
    "settings": {
        "learning_rate": training.learning_rate,
        "epochs": training.num_train_epochs,
        "scheduler": training.lr_scheduler_type.value,
        "warmup": training.warmup_steps,
        "accumulation": training.gradient_accumulation_steps,
        "cutoff_len": training.max_length,
        "finetuning": "lora" if model.use_peft else "full",
    },
}
answer.write_text(json.dumps(told))
