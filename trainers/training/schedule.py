"""The learning rate: a linear warm-up, then a cosine."""

import math
from typing import Any


def warmup_cosine(step: int, steps: int, warmup: int = 0, floor: float = 0.0) -> float:
    """The factor of the learning rate in step number `step`, from 0; it depends on nothing else.

    It rises from 1 / warmup to 1 in `warmup` steps, then falls to `floor` at the last step.

    >>> [round(warmup_cosine(step, 9, warmup=4), 2) for step in range(9)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0]

    Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, eq. 5, one period.
    """
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - 1 - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def set_rate(optimizer: Any, factor: float) -> float:
    """Sets every group's rate to `factor` times its first one; returns the first group's."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])
    return float(optimizer.param_groups[0]["lr"])
