r"""The trainers' configurations as texts: METHOD 6's settings by the name that each trainer gives them.

The paper does not say how many epochs it trains; three are the custom. Batches are of one example a GPU and four steps
of accumulation, so the global batch grows with the GPUs; each text says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from select2reason.chosen import Chosen
from select2reason.signs import in_prose
from select2reason.training.settings import ACCUMULATION, BATCH_OF_A_GPU, EPOCHS, LEARNING_RATE, WARMUP_RATIO

_LLAMAFACTORY = """\
# The paper's settings. One example a GPU, {accumulation} steps of accumulation: with 8 GPUs a step takes 32 examples.
model_name_or_path: {model}
stage: sft
do_train: true
finetuning_type: full
deepspeed: deepspeed.json  # leave out for one GPU

# {template}: responses are trained as they stand. A reasoning template would add empty thoughts to rows without tags.
dataset_dir: .
dataset: select2reason
template: {template}
cutoff_len: {cutoff}  # no example is longer{counted}; with `packing: true` set one more, LLaMA-Factory takes one off
preprocessing_num_workers: 8

learning_rate: {rate}
lr_scheduler_type: cosine
warmup_ratio: {warmup}
num_train_epochs: {epochs}  # the paper does not say
per_device_train_batch_size: {batch}
gradient_accumulation_steps: {accumulation}
bf16: true
flash_attn: fa2
enable_liger_kernel: true
seed: 42

output_dir: tuned
logging_steps: 1
save_strategy: epoch
save_total_limit: 1
plot_loss: true
report_to: none
"""

_TRL = """\
# The paper's settings. One example a GPU, {accumulation} steps of accumulation: with 8 GPUs a step takes 32 examples.
model_name_or_path: {model}
dtype: bfloat16
attn_implementation: flash_attention_2
accelerate_config: zero3  # leave out, with the next line, for one GPU
num_processes: 8  # GPUs

dataset_name: ./data
dataset_train_split: train
chat_template_path: chat_template.jinja  # contents as they stand: no thought is stripped, no empty one added
eos_token: <|im_end|>
completion_only_loss: true
max_length: {cutoff}  # no example is longer{counted}

learning_rate: {rate}
lr_scheduler_type: cosine
warmup_steps: {warmup}  # below 1: a share of all steps
num_train_epochs: {epochs}  # the paper does not say
per_device_train_batch_size: {batch}
gradient_accumulation_steps: {accumulation}
bf16: true
gradient_checkpointing: true
seed: 42

output_dir: tuned
logging_steps: 1
save_strategy: epoch
save_total_limit: 1
report_to: none
"""

_AXOLOTL = """\
# The paper's settings. One example a GPU, {accumulation} steps of accumulation: with 8 GPUs a step takes 32 examples.
base_model: {model}
bf16: true
attn_implementation: flash_attention_2
deepspeed: deepspeed.json  # leave out for one GPU

datasets:
  - path: train.jsonl
    ds_type: json
    type: chat_template
    field_messages: messages
    message_property_mappings:
      role: role
      content: content
    roles_to_train: [assistant]
    train_on_eos: turn
shuffle_merged_datasets: true
chat_template: chatml  # contents as they stand: no thought is stripped, no empty one added
special_tokens:
  eos_token: <|im_end|>
dataset_prepared_path: prepared
val_set_size: 0

sequence_len: {cutoff}  # no example is longer{counted}, and none may be dropped
excess_length_strategy: raise
sample_packing: false
pad_to_sequence_len: false

learning_rate: {rate}
lr_scheduler: cosine
warmup_ratio: {warmup}
num_epochs: {epochs}  # the paper does not say
micro_batch_size: {batch}
gradient_accumulation_steps: {accumulation}
optimizer: adamw_torch_fused
gradient_checkpointing: true
seed: 42

output_dir: tuned
logging_steps: 1
saves_per_epoch: 1
save_total_limit: 1
"""

_README = """\
# {rows:,} examples for {trainer}

A selection made by select2reason: {tokens:,} tokens, the longest example {longest:,}, nothing left out. {about}
{notes}{commands}"""
_NEEDS = "The configuration is the paper's, for several GPUs. It needs"
_ABOUT = {
    "llamafactory": f"{_NEEDS} `llamafactory`, `deepspeed`, `flash-attn` and `liger-kernel`.",
    "trl": f"{_NEEDS} `trl`, `deepspeed` and `flash-attn`.",
    "axolotl": f"{_NEEDS} `axolotl`, `deepspeed` and `flash-attn`.",
    "sharegpt": "Each line of `train.jsonl` has `conversations`, turns of `from` (system, human, gpt) and `value`.",
    "alpaca": "Each line of `train.jsonl` has `instruction`, `input` (empty), `output` and `system`.",
}


def llamafactory(model: str, template: str, cutoff: int, counted: str) -> str:
    """train.yaml of LLaMA-Factory."""
    return _LLAMAFACTORY.format(template=template, **_common(model, cutoff, counted))


def dataset_info() -> str:
    """LLaMA-Factory's dataset_info.json. The formatting is sharegpt with OpenAI's names: what is called openai there
    adds a system prompt of its own."""
    described = {
        "file_name": "train.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
    return _json({"select2reason": described})


def trl(model: str, cutoff: int, counted: str) -> str:
    """train.yaml of `trl sft`."""
    return _TRL.format(**_common(model, cutoff, counted))


def axolotl(model: str, cutoff: int, counted: str) -> str:
    """train.yaml of Axolotl."""
    return _AXOLOTL.format(**_common(model, cutoff, counted))


def deepspeed() -> str:
    """DeepSpeed's configuration (METHOD 6: ZeRO-3); what is `auto` follows the trainer's."""
    auto = "auto"
    return _json(
        {
            "train_batch_size": auto,
            "train_micro_batch_size_per_gpu": auto,
            "gradient_accumulation_steps": auto,
            "gradient_clipping": auto,
            "bf16": {"enabled": auto},
            "zero_optimization": {
                "stage": 3,
                "overlap_comm": True,
                "contiguous_gradients": True,
                "reduce_bucket_size": auto,
                "stage3_prefetch_bucket_size": auto,
                "stage3_param_persistence_threshold": auto,
                "stage3_gather_16bit_weights_on_model_save": True,
            },
        }
    )


def readme(chosen: Chosen, trainer: str, commands: Sequence[str], notes: Sequence[str]) -> str:
    """What is in the folder, and what to run."""
    listed = "".join(f"\n- {in_prose(note)}" for note in notes)
    steps = "\n".join(commands)
    return _README.format(
        rows=chosen.rows,
        trainer=trainer,
        tokens=chosen.tokens,
        longest=chosen.longest,
        about=_ABOUT[trainer],
        notes=f"{listed}\n" if listed else "",
        commands=f"\n```\n{steps}\n```\n" if commands else "",
    )


def _common(model: str, cutoff: int, counted: str) -> dict[str, object]:
    return {
        "model": orjson.dumps(model).decode(),
        "cutoff": cutoff,
        "counted": counted,
        "rate": f"{LEARNING_RATE:.1e}",
        "warmup": WARMUP_RATIO,
        "epochs": round(EPOCHS),
        "batch": BATCH_OF_A_GPU,
        "accumulation": ACCUMULATION,
    }


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"
