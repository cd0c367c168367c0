"""The tokens of each trace with `datasets.map` over two processes and Hugging Face tokenizers, in batches.

python datasets_map.py TRACES TOKENIZER_JSON CACHE COUNTS
"""

import sys
from typing import Any

import datasets
import tokenizers

tokenizer = tokenizers.Tokenizer.from_file(sys.argv[2])


def count(rows: dict[str, Any]) -> dict[str, list[int]]:
    return {"tokens": [len(one.ids) for one in tokenizer.encode_batch_fast(rows["text"], add_special_tokens=False)]}


if __name__ == "__main__":
    datasets.disable_progress_bars()
    traces = datasets.load_dataset("parquet", data_files=sys.argv[1], split="train", cache_dir=sys.argv[3])
    counted = traces.map(count, batched=True, batch_size=100, num_proc=2, remove_columns=traces.column_names)
    counted.to_parquet(sys.argv[4])
