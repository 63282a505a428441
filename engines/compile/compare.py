"""Engines side by side: size, latency, throughput by batch, accuracy, and how near each is to the first."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.compile.gate import score
from engines.compile.likeness import Said, answers, likeness
from engines.errors import EngineError
from engines.examine import sample_pictures
from engines.files import checked_network, read_network
from engines.manifest import Manifest
from engines.preprocess import preprocess
from engines.sessions.base import Session
from engines.sessions.open import open_session
from engines.sessions.ort import gpu_works, open_onnx
from engines.sessions.torch import open_torch
from engines.sessions.trt.opening import open_tensorrt

BATCHES = (1, 8, 32)
SECONDS = 1.0  # measured for, each batch size
LEAST_RUNS = 5
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Task:
    """What engines are compared on.

    Attributes:
        pictures: BGR, for likeness; empty = none is measured.
        labels: For scores; None = nothing is scored.
        batches: Sizes to measure.
        threads: Processor threads of one run.
    """

    pictures: Sequence[NDArray[np.uint8]] = ()
    labels: Path | None = None
    batches: tuple[int, ...] = BATCHES
    threads: int = 1


def compare(engines: Sequence[Manifest], task: Task) -> list[dict[str, Any]]:
    """One row for each engine and each runtime that its format has.

    A row has `name`, `format`, `precision`, `runtime`, `megabytes`, and either `not_measured` with the reason, or
    `latency_ms` (median of one picture), `per_second` by batch size, and what likeness and scorer measure. The
    first engine on its first runtime is what the others are likened to.

    Raises:
        EngineError: A file is missing, or not the one of its manifest.
    """
    rows = []
    first: Said | None = None
    for manifest in engines:
        megabytes = (
            sum(path.stat().st_size for path in (checked_network(manifest), *manifest.paths)[1:]) / MEGABYTE
        )
        for runtime, start in _runtimes(manifest, task.threads):
            row = {
                "name": manifest.name,
                "format": manifest.file.suffix[1:],
                "precision": manifest.precision or "fp32",
                "runtime": runtime,
                "megabytes": round(megabytes, 2),
            }
            try:
                session = start()
                row |= _speed(manifest, session, task.batches)
                if task.pictures:
                    said = answers(manifest, session, task.pictures)
                    first = said if first is None else first
                    row |= likeness(said, first)
                if task.labels is not None:
                    row["scores"] = score(manifest, session, task.labels)
            except EngineError as error:
                row["not_measured"] = error.problem
            rows.append(row)
    return rows


def _runtimes(manifest: Manifest, threads: int) -> Iterator[tuple[str, Callable[[], Session]]]:
    """Whatever may run a file, by name."""
    if manifest.file.suffix == ".safetensors":
        yield "torch, processor", lambda: open_torch(manifest, threads=threads, device="cpu")
        yield "torch, GPU", lambda: _on_gpu(lambda: open_torch(manifest, device="cuda"))
        return

    if manifest.openvino is not None or manifest.file.suffix == ".xml":
        yield "OpenVINO, processor", lambda: open_session(manifest, threads=threads)
    if manifest.file.suffix == ".xml":
        return

    def onnx(device: Any) -> Session:
        return open_onnx(manifest, threads=threads, device=device)

    yield "onnxruntime, processor", lambda: onnx("cpu")
    yield "onnxruntime, GPU", lambda: _on_gpu(lambda: onnx("cuda"))
    yield "TensorRT", lambda: _on_gpu(lambda: open_tensorrt(manifest, read_network(manifest)))


def _on_gpu(start: Callable[[], Session]) -> Session:
    if not gpu_works():
        raise EngineError("no GPU works here")
    return start()


def _speed(manifest: Manifest, session: Session, batches: Sequence[int]) -> dict[str, Any]:
    """Latency and throughput of the network alone, without preparing pictures."""
    (spec,) = session.inputs
    sizes = [spec.shape[0]] if spec.shape[0] else [n for n in batches if n <= (manifest.max_batch or n)]
    per_second = {}
    for size in sizes:
        tensor, _ = preprocess(sample_pictures(size, manifest.preprocess.size), manifest.preprocess)
        given = {spec.name: tensor.astype(spec.dtype)}
        taken_s = _median_s(lambda: session.run(given))  # noqa: B023 - run before the next turn
        per_second[str(size)] = round(size / taken_s, 1)
    latency = 1000 * sizes[0] / per_second[str(sizes[0])] if sizes[0] == 1 else None
    return {"latency_ms": None if latency is None else round(latency, 3), "per_second": per_second}


def _median_s(work: Callable[[], object]) -> float:
    """Median time of one call, after two to warm up."""
    work(), work()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
