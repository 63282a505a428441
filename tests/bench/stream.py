"""What a stream costs: frames a second, CPU and time per stage for 1 to 8 streams; two trackers.

Every figure of one table is taken in one run, on the same frames, with one thread for the detector; the machine's
noise is in all of them, so read the ratios. `python -m tests.bench.stream`; the first call trains a detector.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import build, registry
from pipeline.config import Config, parse_config
from pipeline.messages import Frame
from pipeline.runner.runner import Runner
from pipeline.settings import choose
from tests.bench.small_yolo import small_yolo
from tests.servers.hall import CLIPS, frames

CLIP = "hall-3"
SECONDS = 20.0


def config(folder: Path, streams: int) -> Config:
    """So many streams of the clip the detector has not seen, every frame, as fast as possible."""
    source = {"use": "file", "path": str(CLIPS / f"{CLIP}.mp4"), "pace": "fast", "skip": [[SECONDS, 44]]}
    document = {
        "version": 1,
        "data_dir": str(folder / "data"),
        "streams": [{"id": f"s{i}", "source": source} for i in range(streams)],
        "detector": {"use": "onnx", "engine": str(small_yolo())},
        "embedder": {"use": "colour"},
        "sinks": [{"use": "jsonl", "path": str(folder / "hits.jsonl")}],
        "telemetry": {"listen": None},
    }
    return parse_config(document, folder)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, wall seconds, CPU seconds of the process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def detect_only(made: Config, shots: list[Frame]) -> float:
    """Frames a second of the detector alone, pictures ready in memory."""
    detector = build.plugin(made, "detector", made.detector)
    detector.detect(shots[:1])
    _, wall_s, _ = timed(lambda: [detector.detect([shot]) for shot in shots])
    return len(shots) / wall_s


def whole_job(made: Config) -> tuple[float, float, dict[str, float]]:
    """Frames a second, CPU seconds, and milliseconds per frame of each stage."""
    runner = Runner(made)
    summary, wall_s, cpu_s = timed(runner.run)
    seen = sum(stream.frames_inferred for stream in summary.streams)
    stages = {
        sample.labels["stage"]: sample.value / seen * 1e3
        for metric in runner.telemetry.stage_seconds.collect()
        for sample in metric.samples
        if sample.name.endswith("_sum")
    }
    return seen / wall_s, cpu_s, stages


def table_of_streams() -> None:
    """One row a number of streams, the detector-only rate beside it."""
    shots = list(frames(CLIP, range(int(SECONDS * 15))))
    print(
        f"{'streams':>7} {'frames/s':>9} {'detector only':>13} {'ratio':>6} {'CPU ms/frame':>12}  stages, ms/frame"
    )
    for streams in (1, 2, 4, 8):
        with tempfile.TemporaryDirectory() as folder:
            made = config(Path(folder), streams)
            alone = detect_only(made, shots)
            rate, cpu_s, stages = whole_job(made)
            alone = (alone + detect_only(made, shots)) / 2
        shares = ", ".join(f"{name} {ms:.1f}" for name, ms in stages.items())
        cpu_ms = cpu_s / (streams * len(shots)) * 1e3
        print(
            f"{streams:7} {rate:9.1f} {alone:13.1f} {rate / alone:6.2f} {cpu_ms:12.1f}  {shares}", flush=True
        )


def table_of_trackers() -> None:
    """Two trackers on the same boxes."""
    with tempfile.TemporaryDirectory() as folder:
        made = config(Path(folder), 1)
    shots = list(frames(CLIP, range(int(SECONDS * 15))))
    detector = build.plugin(made, "detector", made.detector)
    found = [detector.detect([shot])[0] for shot in shots]
    for name in ("bytetrack", "boxmot"):
        settings = {"use": name} | ({"method": "bytetrack"} if name == "boxmot" else {})
        tracker: Any = registry.build("tracker", choose(**settings), made.base_dir, "tracker")
        pairs = list(zip(shots, found, strict=True))
        _, wall_s, cpu_s = timed(lambda t=tracker, p=pairs: [t.update(f, d, None) for f, d in p])  # type: ignore[misc]
        print(
            f"{name:>9}: {wall_s / len(shots) * 1e3:.2f} ms wall, {cpu_s / len(shots) * 1e3:.2f} ms CPU a frame"
        )


if __name__ == "__main__":
    table_of_streams()
    table_of_trackers()
