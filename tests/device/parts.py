"""What the device check measures: `python -m tests.device.parts NAME FOLDER` prints a JSON line [what, figure] a row.

Engines: the bundled ones in float16 and int8, built and judged, then beside the original on every runtime. Torch: the
same architectures with random weights, compiled and in CUDA graphs. Rerank: at the size of Market-1501. Memory: what
the contexts of all batch sizes hold together. Vit: ViT-B/16 by batch.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.architectures import build_network
from engines.checkpoint import save_checkpoint
from engines.compile.build import Order, build
from engines.compile.compare import Task, compare
from engines.compile.pictures import choose
from engines.files import read_network
from engines.manifest import SCHEMA, UNSAVED, WEIGHTS, Manifest, Precision, load_manifest, parse_manifest
from engines.sessions.base import Session, ladder
from engines.sessions.ort import open_onnx
from engines.sessions.torch import open_torch
from engines.sessions.trt.opening import open_tensorrt
from engines.shelf import open_shelf
from pipeline.errors import MusewatchError
from pipeline.rerank import Distances
from plugins.rerank_torch import TorchReranker

CLIPS = Path("configs/demo_clips")
BATCHES = (1, 8, 32)
THREADS = os.cpu_count() or 1  # so that processors take little of the time there is
MARKET = (3368, 19281, 2048)
NETWORKS = {"person-nano": "nano_detector", "person-small": "small"}
"""Bundled engines and their architectures."""

Rows = Iterator[tuple[str, str]]


def engines(
    folder: Path,
    names: Sequence[str] = tuple(NETWORKS),
    precisions: Sequence[Precision] = ("fp16", "int8"),
    batches: tuple[int, ...] = BATCHES,
) -> Rows:
    """Bundled engines, built, judged and compared on every runtime; a verifier too where one is bundled."""
    frames, crops = pictures(folder)
    yield "threads of a run on the processor", str(THREADS)
    for source in open_shelf(None).manifests():
        manifest = load_manifest(source)
        name = manifest.name
        if name not in names and manifest.role != "verifier":
            continue
        images = frames if manifest.role == "detector" else crops
        made = [manifest]
        for precision in precisions:
            order = Order(source, folder / "engines", precision, format="tensorrt", images=(images,))
            try:
                made.append(build(order))
            except MusewatchError as error:
                yield f"{name} {precision}", f"not built: {error.problem}"
                continue
            yield f"{name} {precision}, gate", json.dumps(made[-1].accuracy["gate"])
        if manifest.prompt is None:
            task = Task(list(choose((images,), 16).values()), batches=batches, threads=THREADS)
            yield from _compared(made, task)


def torch_graphs(folder: Path, batches: tuple[int, ...] = BATCHES) -> Rows:
    """The architectures of the bundled engines with random weights, as torch runs them."""
    made = [random_checkpoint(folder, name, precision) for name in NETWORKS for precision in ("fp32", "fp16")]
    yield from _compared(made, Task(batches=batches, threads=THREADS))


def rerank(_: Path, size: tuple[int, int, int] = MARKET, device: str = "cuda") -> Rows:
    """Re-ranking of random unit vectors, and the most memory that torch held."""
    import torch

    queries, gallery, width = size
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((queries + gallery, width), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cameras = rng.integers(0, 6, queries + gallery)
    distances = Distances.from_features(rows[:queries], rows[queries:])
    reranker = TorchReranker(TorchReranker.Config(device=device))
    ways: dict[str, Callable[[], Any]] = {
        "k_reciprocal": lambda: reranker.k_reciprocal(distances, 20, 6, 0.3, 2.0, None),
        "ecn": lambda: reranker.ecn(distances, 25, 3, 8, "rankdist", None),
        "camera_jaccard": lambda: reranker.camera_jaccard(
            distances, cameras[:queries], cameras[queries:], 5, 20, 3, 3, 0.3, 2.0, None, True, True, 20, 6
        ),
    }
    for name, work in ways.items():
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        work()
        taken_s = time.perf_counter() - start
        held = f", {torch.cuda.max_memory_allocated() / 1e6:.0f} MB" if device == "cuda" else ""
        yield f"{name}, {queries} x {gallery} of {width}", f"{taken_s:.2f} s{held}"


def memory(folder: Path) -> Rows:
    """Memory of the GPU that all batch sizes hold together, runtime by runtime, both networks open."""
    import torch

    open_ones: list[Session] = []
    sizes = ladder(1, BATCHES[-1])
    bundled = [load_manifest(open_shelf(None).find(name)) for name in NETWORKS]
    ways: dict[str, Callable[[], list[Session]]] = {
        "torch, graphs, fp16": lambda: [
            open_torch(random_checkpoint(folder, name, "fp16"), device="cuda") for name in NETWORKS
        ],
        "onnxruntime, fp32": lambda: [open_onnx(each, device="cuda") for each in bundled],
        "TensorRT, fp32": lambda: [open_tensorrt(each, read_network(each)) for each in bundled],
    }
    torch.zeros(1, device="cuda")
    for name, start in ways.items():
        before = torch.cuda.mem_get_info()[0]
        try:
            sessions = start()
            _run_all(sessions, sizes)
        except MusewatchError as error:
            yield name, f"not measured: {error.problem}"
            continue
        open_ones += sessions
        held = before - torch.cuda.mem_get_info()[0]
        yield f"{name}, {len(sessions)} networks, batches {list(sizes)}", f"{held / 1e6:.0f} MB"


def vit(_: Path) -> Rows:
    """ViT-B/16, row by row, the ends and the middle first: what is cut off is known least well."""
    from tests.bench.gpu import measure

    for row in measure((1, 32, 512, 8, 128, 2, 4, 16, 64, 256)):
        key, value = next(iter(row.items()))
        yield f"ViT-B/16 256x128 bf16, {key} {value}", json.dumps(row)


PARTS: dict[str, Callable[[Path], Rows]] = {
    "engines": engines,
    "rerank": rerank,
    "torch": torch_graphs,
    "memory": memory,
    "vit": vit,
}


def pictures(folder: Path, every: int = 12) -> tuple[Path, Path]:
    """Folders of frames and of crops of the demo's clips, made when missing."""
    frames, crops = folder / "frames", folder / "crops"
    for each in (frames, crops):
        each.mkdir(parents=True, exist_ok=True)
    for clip in sorted(CLIPS.glob("*.mp4")):
        boxes = np.loadtxt(clip.with_name(f"{clip.stem}.gt.txt"), delimiter=",")
        capture, number = cv2.VideoCapture(str(clip)), 0
        while capture.grab():
            number += 1
            if number % every == 0:
                image = capture.retrieve()[1]
                cv2.imwrite(str(frames / f"{clip.stem}-{number}.png"), image)
                _cut(image, boxes[boxes[:, 0] == number], crops / f"{clip.stem}-{number}")
        capture.release()
    return frames, crops


def random_checkpoint(folder: Path, name: str, precision: Precision) -> Manifest:
    """A bundled engine's architecture with weights by chance, for torch: what it costs does not depend on them."""
    bundled = load_manifest(open_shelf(None).find(name))
    said = bundled.model_dump(mode="json", by_alias=True, include={"role", "licence", "fed", "decoder"})
    document = {
        **said, "schema": SCHEMA, "name": f"random-{name}-{precision}", "file": WEIGHTS, "sha256": UNSAVED,
        "provenance": "random weights", "precision": precision, "network": {"use": NETWORKS[name]},
    }  # fmt: skip
    manifest = parse_manifest(document, folder)
    return save_checkpoint(folder / manifest.name, build_network(NETWORKS[name], {}, name), manifest)


def _cut(image: Any, boxes: Any, start: Path) -> None:
    for _, who, x, y, width, height, *_ in boxes:
        crop = image[max(0, int(y)) : int(y + height), max(0, int(x)) : int(x + width)]
        if min(crop.shape[:2]) >= 24:
            cv2.imwrite(f"{start}-{int(who)}.png", crop)


def _compared(made: list[Manifest], task: Task) -> Rows:
    for row in compare(made, task):
        what = f"{row.pop('name')}, {row.pop('runtime')}"
        reason = row.pop("not_measured", None)
        yield what, f"not measured: {reason}" if reason else json.dumps(row)


def _run_all(sessions: Sequence[Session], sizes: Sequence[int]) -> None:
    for session in sessions:
        (spec,) = session.inputs
        shape = [size or 1 for size in spec.shape[1:]]
        for size in sizes:
            session.run({spec.name: np.zeros((spec.shape[0] or size, *shape), spec.dtype)})


def main() -> None:
    """Runs the part named on the command line."""
    name, folder = sys.argv[1:]
    for row in PARTS[name](Path(folder)):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
