"""Whether the built-in tokenizer counts every real trace as Hugging Face tokenizers does.

    python benchmarks/token_counts.py [--data ../shared/data/traces]

Needs the folder of real traces and ../shared/tokenizers/qwen2.5/tokenizer.json. About a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl
import tokenizers

from select2reason.tokens import load_tokenizer

SHARED = Path(__file__).resolve().parents[2] / "shared"
TEXT = ("solution", "text", "response", "reason")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED / "data/traces")
    folder = parser.parse_args().data
    ours = load_tokenizer()
    theirs = tokenizers.Tokenizer.from_file(str(SHARED / "tokenizers/qwen2.5/tokenizer.json"))
    print(f"{'file':36}{'traces':>8}{'tokens':>14}{'unequal':>9}")
    for file in sorted(folder.glob("*.parquet")):
        frame = pl.read_parquet(file)
        texts = (
            frame["code"].list.first()
            if "code" in frame.columns
            else frame[next(n for n in TEXT if n in frame.columns)]
        )
        counts = ours.count(texts)
        expected = [len(e.ids) for e in theirs.encode_batch_fast(texts.to_list(), add_special_tokens=False)]
        unequal = sum(a != b for a, b in zip(counts.tolist(), expected, strict=True))
        print(f"{file.stem:36}{len(texts):>8,}{int(counts.sum()):>14,}{unequal:>9}")


if __name__ == "__main__":
    main()
