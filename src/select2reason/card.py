"""The dataset card of a selection: where it came from, how it was chosen, what is in it, whose licence holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from select2reason.cost import FORMULA
from select2reason.signs import in_code, in_prose, visible

_CARD = """\
---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
tags:
- select2reason
- chain-of-thought
---

# {selected:,} examples chosen from {rows:,}

Chosen by [Select2Reason](https://arxiv.org/abs/2505.17266): {how}.

| | rows | tokens | H100 hours, one epoch |
|---|---|---|---|
| pool | {rows:,} | {pool_tokens:,} | {hours[pool]:,.2f} |
| eligible | {eligible:,} | {eligible_tokens:,} | {hours[eligible]:,.2f} |
| selected | {selected:,} | {selected_tokens:,} | {hours[selected]:,.2f} |

Tokens are those of the whole example in Qwen2.5's chat template, system prompt included, counted with the tokenizer
`{tokenizer}`. The hours are an estimate: {formula}{cut}.

## Why rows were left out

{reasons}

Answers: `--verify {verify}`. {benchmarks}
{notes}
## Files

`data/` holds the examples, best first; `scores.parquet` one row for every example of the pool with its scores, ranks
and reason; `contamination.parquet`, where benchmarks were looked for, one row for every hit; `manifest.json` versions,
digests and every parameter; `report.html` the figures; `quarantine.jsonl` the
{set_aside:,} rows or generations that could not be used.

## Sources and licence

{sources}

The texts keep the licence of the pool they come from; choosing them adds none.

## Make it again

{again}
"""


def dataset_card(manifest: Mapping[str, Any], table: pl.DataFrame) -> str:
    """The card as Markdown with the Hub's front matter; `manifest` and `table` as the selection's files hold them."""
    counts, cutoff = manifest["counts"], manifest["parameters"]["cutoff_len"]
    tokens = pl.col("total_tokens").cast(pl.Int64)
    sums = table.select(
        pool=tokens.sum(),
        eligible=tokens.filter(pl.col("rank_joint").is_not_null()).sum(),
        selected=tokens.filter("selected").sum(),
    ).row(0)
    listed = "\n".join(f"| {reason} | {count:,} |" for reason, count in counts.items() if reason != "selected")
    sources = "\n".join(
        f"- `{in_code(s['path'])}`: {s['rows']:,} rows, {s['examples']:,} examples" for s in manifest["pool"]["sources"]
    )
    return _CARD.format(
        selected=manifest["selected"],
        rows=manifest["pool"]["rows"],
        eligible=manifest["eligible"],
        set_aside=manifest["pool"]["set_aside"],
        how=_how(manifest["parameters"]),
        pool_tokens=sums[0],
        eligible_tokens=sums[1],
        selected_tokens=sums[2],
        hours=manifest["gpu_hours"],
        verify=manifest["parameters"]["verify"],
        benchmarks=_looked_for(manifest),
        notes="".join(f"\n- {in_prose(note)}" for note in ["", *manifest["notes"]]).removeprefix("\n- ") + "\n",
        formula=FORMULA,
        cut=f"; longer examples are cut at {cutoff:,} tokens" if cutoff else "",
        tokenizer=in_code(manifest["parameters"]["tokenizer"]),
        reasons=f"| reason | rows |\n|---|---|\n{listed}" if listed else "No row was left out.",
        sources=sources,
        again=_again(visible(manifest["command"].replace("`", ""))),
    )


def _again(command: str) -> str:
    return f"```\n{command}\n```" if command else "Made from Python; `manifest.json` has every parameter."


def _looked_for(manifest: Mapping[str, Any]) -> str:
    benchmarks = manifest["benchmarks"]
    if benchmarks is None:
        return "No benchmark was looked for."
    return f"Benchmarks looked for: {', '.join(f'{in_prose(name)} ({n:,})' for name, n in benchmarks.items())}."


def _how(parameters: Mapping[str, Any]) -> str:
    size = parameters["fraction"] and f"a fraction of {parameters['fraction']} of the eligible rows"
    size = (
        size
        or (parameters["rows"] and f"{parameters['rows']:,} rows")
        or f"a budget of {parameters['token_budget']:,} tokens"
    )
    weight = f" with weight {parameters['weight']}" if parameters["strategy"] == "joint" else ""
    judged = f"difficulty {in_prose(parameters['difficulty'])}"
    return f"strategy {parameters['strategy']}{weight}, {judged}, preset {parameters['preset']}, {size}"
