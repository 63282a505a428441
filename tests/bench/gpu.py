"""Prints how many crops a second a GPU embeds, by batch and by runtime, and what share of its matrix products that is.

`python -m tests.bench.gpu` needs torch, safetensors and a GPU. ViT-B/16 on 256x128 with random weights, in bf16.
Peak: the best of products of square matrices, measured here. Eager and compiled start from a batch on the GPU; graphs
start from the processor's memory and end there, as in a stream.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from engines.sessions.torch_graphs import GraphRunner, round_weights
from trainers.networks.clip_vit import ClipImageTower

SIZE = (256, 128)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SIDES = (4096, 8192, 16384)
SECONDS = 0.5


def main() -> None:
    """Reads the command line, prints a row for each batch size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--most", type=int, default=BATCHES[-1], help="largest batch")
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("not measured: torch finds no GPU here")
    about, *rows = measure(tuple(batch for batch in BATCHES if batch <= chosen.most))
    if chosen.json:
        print(json.dumps({**about, "rows": rows}))
        return
    for row in (about, *rows):
        print(", ".join(f"{key} {value}" for key, value in row.items()))


def measure(batches: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yields what was measured on, then a row for each batch size."""
    peak = _peak()
    tower = ClipImageTower(SIZE, neck=False).cuda().eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        tower(torch.zeros(1, 3, *SIZE, device="cuda"))
    operations = counter.get_total_flops()
    round_weights(tower, torch.bfloat16)
    yield {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "peak_tflops": round(peak / 1e12, 1),
        "gflop_per_crop": round(operations / 1e9, 2),
    }
    for batch in batches:
        yield _row(tower, batch, operations / peak)


def _row(tower: torch.nn.Module, batch: int, seconds_at_peak: float) -> dict[str, Any]:
    """Crops a second of each runtime, and the share of the peak of the best."""
    given = torch.rand(batch, 3, *SIZE, device="cuda")
    here = np.random.default_rng(0).random((batch, 3, *SIZE), np.float32)
    graphs = GraphRunner(lambda pictures: (_forward(tower, pictures).float(),), (3, *SIZE), (batch,), "vit")
    torch.compiler.reset()
    compiled = torch.compile(lambda pictures: _forward(tower, pictures))
    rates = {
        "eager": batch / _seconds(lambda: _forward(tower, given)),
        "compiled": batch / _seconds(lambda: compiled(given)),
        "graph": batch / _seconds(lambda: graphs.run(here)),
    }
    best = max(rates.values())
    shown = {name: round(rate, 1) for name, rate in rates.items()}
    return {
        "batch": batch,
        **shown,
        "latency_ms": round(1000 * batch / best, 3),
        "of_peak": round(best * seconds_at_peak, 3),
    }


def _forward(tower: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        rows: torch.Tensor = tower(pictures)
    return rows


def _peak() -> float:
    """Operations a second of the best bf16 product."""
    rates = []
    for side in SIDES:
        a, b = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        rates.append(2 * side**3 / _seconds(lambda: a @ b))  # noqa: B023 - run before the next turn
    return max(rates)


def _seconds(work: Callable[[], object]) -> float:
    """Mean time of one call, by the GPU's own clock, after three to warm up."""
    for _ in range(3):
        work()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    runs, taken = 10, 0.0
    while taken < SECONDS:
        start.record()
        for _ in range(runs):
            work()
        end.record()
        torch.cuda.synchronize()
        taken = start.elapsed_time(end) / 1000
        if taken < SECONDS:
            runs *= 2
    return taken / runs


if __name__ == "__main__":
    main()
