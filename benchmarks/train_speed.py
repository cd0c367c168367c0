"""Tokens a second and peak memory of `train` on this machine, with and without padding-free batches, packing and Liger.

    PYTHON benchmarks/train_speed.py OUT [--hidden 896 --layers 24 --tokens 16384 --steps 6] [--only VARIANT ...]

A Qwen2 of random weights (by default of Qwen2.5-0.5B's shape, 152,064 words) is trained on examples of random words,
half of them of nearly `--tokens` tokens and half of a third of that. Rates are from the second step on, and checkpoints
are written after the last. What a variant leaves is removed, but for its log and what it said.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("out", type=Path)
parser.add_argument("--hidden", type=int, default=896)
parser.add_argument("--layers", type=int, default=24)
parser.add_argument("--heads", type=int, default=14)
parser.add_argument("--tokens", type=int, default=16_384)
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--only", nargs="*", default=[], help="variants by their names")
args = parser.parse_args()

_FRAME = 160  # tokens of an example beside its response, and some to spare
VARIANTS = {
    "one example at a time": ["--batch-size", "4"],
    "one at a time, Liger": ["--batch-size", "4", "--liger", "on"],
    "two, padded": ["--batch-size", "4", "--per-device", "2"],
    "two, padding-free": ["--batch-size", "4", "--per-device", "2", "--packing", "padding-free"],
    "two, padding-free, Liger": [
        "--batch-size",
        "4",
        "--per-device",
        "2",
        "--packing",
        "padding-free",
        "--liger",
        "on",
    ],
    "packed": ["--batch-size", "4", "--packing", "bfd"],
}


def make_model(folder: Path) -> None:
    from transformers import AutoConfig, Qwen2Config, Qwen2ForCausalLM

    from select2reason.backends.trial_model import make_trial_model

    folder.mkdir(parents=True)
    make_trial_model(folder, iter(["one two three four five six seven eight nine ten"] * 9))
    small = AutoConfig.from_pretrained(folder)
    config = Qwen2Config(
        vocab_size=152_064,
        hidden_size=args.hidden,
        intermediate_size=round(args.hidden * 4864 / 896),
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        num_key_value_heads=2,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        eos_token_id=small.eos_token_id,
        pad_token_id=small.pad_token_id,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)


def make_selection(folder: Path, model: Path) -> None:
    rng = random.Random(0)
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    rows = []
    for number in range(4 * args.steps):
        size = (args.tokens if number % 2 else args.tokens // 3) - _FRAME
        rows.append({"question": f"Question {number}?", "response": " ".join(rng.choice(words) for _ in range(size))})
    pool = folder.with_suffix(".jsonl")
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = ["select", str(pool), "--preset", "paper", "--fraction", "1", "--cutoff-len", "0", "--tokenizer", str(model)]
    subprocess.run([sys.executable, "-m", "select2reason", *own, "--out", str(folder)], check=True)


def measured(name: str, words: list[str]) -> str:
    out = args.out / name.replace(" ", "-").replace(",", "")
    own = ["train", str(args.out / "selection"), "--model", str(args.out / "model"), "--max-steps", str(args.steps)]
    own += ["--save-every", str(args.steps)]  # written between two steps, a checkpoint would be timed with them
    done = subprocess.run([sys.executable, "-m", "select2reason", *own, *words, "--out", str(out)], check=False)
    for heavy in ("model", "checkpoints", "work"):
        shutil.rmtree(out / heavy, ignore_errors=True)
    if done.returncode:
        return f"| {name} | failed | |"
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    rate = (steps[-1]["num_tokens"] - steps[1]["num_tokens"]) / (steps[-1]["at"] - steps[1]["at"])
    memory = json.loads((out / "manifest.json").read_text())["peak_memory_bytes"]
    return f"| {name} | {rate:,.0f} | {'' if memory is None else f'{memory / 2**30:.1f}'} |"


if __name__ == "__main__":
    make_model(args.out / "model")
    make_selection(args.out / "selection", args.out / "model")
    rows = ["| batches | tokens/s | peak GiB |", "|---|---|---|"]
    for name in args.only or VARIANTS:
        rows.append(measured(name, VARIANTS[name]))
        print(rows[-1], flush=True)
    print("\n".join(rows))
