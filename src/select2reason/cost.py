"""What training on examples costs: GPU-hours, estimated from their tokens alone by a stated formula.

An example of t tokens takes four forward passes of the model (one, one again for gradient checkpointing, and two for
the gradients, METHOD 6), each of 2 P t operations for P parameters and 2 L d t^2 for causal attention in L layers of
width d. The figures are those of Qwen2.5-Math-7B on H100s at 40% of their peak, and for one epoch. It is an estimate to
compare selections by: what a cluster reaches is its own.
"""

from __future__ import annotations

import polars as pl

PARAMETERS = 7.62e9
LAYERS, WIDTH = 28, 3_584
PEAK_FLOPS, UTILISATION = 989e12, 0.4  # of an H100 in bfloat16, dense
PASSES = 4
FORMULA = (
    "4 × (2 P t + 2 L d t²) operations for an example of t tokens, with P = 7.62 billion parameters, L = 28 layers and "
    "d = 3,584 (Qwen2.5-Math-7B, gradient checkpointing), at 40% of an H100's 989 TFLOP/s, for one epoch"
)


def gpu_hours(total_tokens: pl.Series, *, cutoff_tokens: int = 0) -> float:
    """Hours of one GPU for an epoch over examples of these lengths; longer ones are cut where a cutoff is given, as a
    trainer does."""
    tokens = total_tokens.cast(pl.Float64)
    if cutoff_tokens:
        tokens = tokens.clip(upper_bound=cutoff_tokens)
    operations = PASSES * (2 * PARAMETERS * float(tokens.sum()) + 2 * LAYERS * WIDTH * float((tokens**2).sum()))
    return operations / (PEAK_FLOPS * UTILISATION) / 3600
