"""The official repository's longest-first selection: whole responses ranked by their number of characters.

python longest_characters.py EXAMPLES_JSONL CHOSEN_JSONL

In our own words, from what its longest.py does: every line of the file is parsed and held, all are sorted by the length
of `output` in characters, and the first tenth is written. No token is counted.
"""

import json
import sys
from pathlib import Path

with Path(sys.argv[1]).open(encoding="utf-8") as lines:
    examples = list(map(json.loads, lines))
examples.sort(key=lambda example: -len(example["output"]))
with Path(sys.argv[2]).open("w", encoding="utf-8") as chosen:
    for example in examples[: max(1, len(examples) // 10)]:
        print(json.dumps(example, ensure_ascii=False), file=chosen)
