"""The whole main job beside `yolo track` with the same network: processor time a frame, and who is found.

`python -m tests.bench.peer CLIP... --people DIR --images DIR [--weights yolov8n.onnx] [--embedder MANIFEST]`

Ours decodes, detects, tracks, embeds, matches and keeps evidence, ten people enrolled; theirs decodes, detects and
tracks. DIR of `--people` is what `musewatch world clips` leaves; `--images` are pictures of other clips, to calibrate
eight bits with. A crowded clip: `musewatch world clips DIR --seed 5 --people 20 --enrolled 10 --cameras 1 --seconds 12
--size 1920x1080`. Turn by turn, each run in a process of its own, one thread a network on both sides; milliseconds are
user + system between the first frame and the last, of ours with start and drain.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.compile.build import Order, build
from pipeline import build as parts
from pipeline.config import Config, parse_config
from pipeline.runner.runner import Runner
from tests.bench.detectors import frame_of, labelled
from tests.bench.yolov8 import SIZE, networks
from trainers.evaluate.demo import enrol_all, read_photos
from trainers.metrics.boxes import Found, Truth, box_scores

MIN_SCORE = 0.3
LABELLED_EVERY = 3  # frames of a clip all of whose frames are labelled
PEOPLE = 10


@dataclass(frozen=True, slots=True)
class Job:
    """One side's run of one clip."""

    clip: Path
    network: Path
    embedder: str
    people: Path
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Processor and wall milliseconds a frame, frames seen, and how the boxes agree with the labels."""

    cpu_ms: float
    wall_ms: float
    frames: int
    found: str


def main() -> None:
    """Reads the command line; a table for each clip."""
    given = _arguments()
    folder = given.folder or Path(tempfile.mkdtemp())
    made = networks(folder, given.weights)
    eight = folder / "int8"
    if not eight.is_dir():
        build(Order(made.free, "int8", "onnx", eight, images=(given.images,), target="cpu"))
    (small,) = eight.glob("*.yaml")
    sides: dict[str, tuple[Callable[[Job], Outcome], Path]] = {
        "yolo track, 416x416": (theirs, made.fixed),
        "yolo track, free sizes": (theirs, made.free),
        "ours, 416x416": (ours, made.fixed),
        "ours, the stream's shape": (ours, made.free),
        "ours, that in int8": (ours, small),
    }
    for clip in given.clips:
        rows: dict[str, list[Outcome]] = {name: [] for name in sides}
        for _ in range(given.rounds):
            for name, (side, network) in sides.items():
                job = Job(clip, network, given.embedder, given.people, given.seconds)
                rows[name].append(apart(side, job))
        _print(clip, rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--embedder", default="person-small")
    parser.add_argument("--folder", type=Path, help="Where the networks are kept.")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def apart(side: Callable[[Job], Outcome], job: Job) -> Outcome:
    """The run in a process of its own, so that neither's libraries and threads are in the other's figures."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(side, job).result()


def _print(clip: Path, rows: dict[str, list[Outcome]]) -> None:
    middle = {name: statistics.median(each.cpu_ms for each in found) for name, found in rows.items()}
    print(f"\n{clip.stem}, load {os.getloadavg()[0]:.1f}; how many times as fast as yolo track, fixed / free")
    print(
        f"{'':26} {'frames':>6} {'CPU ms/frame':>12} {'of all turns':>22} {'wall':>6} {'fixed':>6} {'free':>6}"
    )
    for name, found in rows.items():
        turns = ", ".join(f"{each.cpu_ms:.1f}" for each in found)
        wall_ms = statistics.median(each.wall_ms for each in found)
        ratios = " ".join(
            f"{middle[f'yolo track, {peer}'] / middle[name]:6.2f}" for peer in ("416x416", "free sizes")
        )
        print(
            f"{name:26} {found[0].frames:6} {middle[name]:12.1f} {turns:>22} {wall_ms:6.1f} {ratios}  {found[0].found}",
            flush=True,
        )


def ours(job: Job) -> Outcome:
    """The main job, as `run` does it."""
    with tempfile.TemporaryDirectory() as name:
        config = _config(job, Path(name))
        enrol_all(config, read_photos(job.people)[:PEOPLE])
        runner = Runner(config)
        cpu, wall = time.process_time(), time.perf_counter()
        summary = runner.run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        detector = parts.plugin(config, "detector", config.detector)
        scores = _scores(job.clip, lambda image: _ours_in(detector, image))
    seen = sum(stream.frames_inferred for stream in summary.streams)
    return Outcome(cpu / seen * 1e3, wall / seen * 1e3, seen, scores)


def _config(job: Job, folder: Path) -> Config:
    source = {
        "use": "file",
        "path": str(job.clip.resolve()),
        "pace": "fast",
        "skip": [[job.seconds, 100_000]],
    }
    document = {
        "version": 1,
        "data_dir": str(folder / "data"),
        "streams": [{"id": job.clip.stem, "source": source}],
        "detector": {"use": "onnx", "engine": str(job.network), "min_score": MIN_SCORE},
        "embedder": {"use": "onnx", "engine": job.embedder},
        "sinks": [{"use": "jsonl", "path": str(folder / "hits.jsonl")}],
        "telemetry": {"listen": None},
    }
    return parse_config(document, folder)


def _ours_in(detector: Any, image: Any) -> Found:
    people = detector.detect([frame_of(image)])[0]
    return Found(people.xyxy, people.score)


def theirs(job: Job) -> Outcome:
    """`yolo track` with its ByteTrack and no drawing, a thread for onnxruntime that does not spin."""
    _one_thread()
    from ultralytics import YOLO

    options = {"imgsz": SIZE, "conf": MIN_SCORE, "classes": [0], "verbose": False, "device": "cpu"}
    tracked = {"tracker": "bytetrack.yaml", "stream": True, **options}
    path = str(job.network.with_suffix(".onnx"))
    model = YOLO(path, task="detect")
    most = round(job.seconds * cv2.VideoCapture(str(job.clip)).get(cv2.CAP_PROP_FPS))
    shots: Iterator[Any] = iter(model.track(str(job.clip), **tracked))
    next(shots)
    cpu, wall = time.process_time(), time.perf_counter()
    seen = sum(1 for _ in itertools.islice(shots, most - 1))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    fresh = YOLO(path, task="detect")
    scores = _scores(job.clip, lambda image: _theirs_in(fresh.predict(image, **options)[0].boxes))
    return Outcome(cpu / seen * 1e3, wall / seen * 1e3, seen, scores)


def _theirs_in(boxes: Any) -> Found:
    return Found(boxes.xyxy.numpy(), boxes.conf.numpy())


def _one_thread() -> None:
    import onnxruntime
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    opened = onnxruntime.InferenceSession

    def session(path: str, options: Any = None, **more: Any) -> Any:
        options = options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return opened(path, options, **more)

    onnxruntime.InferenceSession = session


def _scores(clip: Path, detect: Callable[[Any], Found]) -> str:
    """Recall and precision on the clip's labels, and boxes a frame; on some frames where it has no labels."""
    beside = [clip.with_suffix(suffix) for suffix in (".gt_ids.txt", ".gt.txt")]
    labels = next((path for path in beside if path.exists()), None)
    known = labelled(labels) if labels else {}
    wanted = sorted(known)[:: LABELLED_EVERY if len(known) > 100 else 1]
    truths: list[Truth] = []
    found: list[Found] = []
    video, number = cv2.VideoCapture(str(clip)), 0
    while (got := video.read())[0]:
        number += 1
        if number in wanted:
            truths.append(known[number])
            found.append(detect(np.ascontiguousarray(got[1])))
    if not truths:
        return "no labels"
    scores = box_scores(truths, found, min_precision=0.0)
    boxes = sum(len(each.score) for each in found) / len(found)
    return f"recall {scores.recall:.3f}, false {scores.false_alarms:.2f}, {boxes:.1f} boxes a labelled frame"


if __name__ == "__main__":
    main()
