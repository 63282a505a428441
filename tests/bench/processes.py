"""Frames inferred a second of 64 recordings at once, by the number of processes: `python -m tests.bench.processes`.

Every process count runs the same clip (`--clip`, else a second of drawn people) in 64 streams without a frame left out,
with the engines that are bundled. Start and drain are left out: counted is from the first frame inferred to the last.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from pipeline.config import Config, parse_config
from pipeline.runner.runner import Runner, Status
from tests.support.pictures import BLUE, RED
from tests.support.walks import walk, write_walk

FRAMES = 10  # of the drawn clip


def config(folder: Path, clip: Path, streams: int, processes: int | str) -> Config:
    """So many streams of one clip, and nobody enrolled."""
    source = {"use": "file", "path": str(clip), "pace": "fast"}
    document = {
        "version": 1,
        "data_dir": str(folder / f"data-{processes}"),
        "streams": [{"id": f"s{n}", "source": source, "max_fps": None} for n in range(streams)],
        "processes": processes,
        "detector": {"use": "onnx", "engine": "person-nano"},
        "embedder": {"use": "onnx", "engine": "person-small"},
        "telemetry": {"listen": None},
        "sinks": [],
    }
    return parse_config(document, folder)


def measure(config: Config) -> tuple[int, float, float]:
    """Frames inferred, wall seconds from the first to the last of them, processor seconds of all processes."""
    seen: list[tuple[float, int]] = []

    def look(status: Status) -> None:
        inferred = sum(counts.frames_inferred for counts in status.streams.values())
        if inferred and (not seen or inferred > seen[-1][1]):
            seen.append((time.perf_counter(), inferred))

    before_s = _processor_s()
    runner = Runner(config)
    runner.run(None, look)
    (first_s, first), (last_s, last) = seen[0], seen[-1]
    return last - first, last_s - first_s, _processor_s() - before_s


def _processor_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Prints a row a process count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--processes", nargs="+", default=["1", "2", "auto"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = options.clip or write_walk(folder / "walk.mp4", list(walk(FRAMES, RED, BLUE)))
        print("| processes | frames | seconds | frames/s | processor ms a frame, start included |")
        print("|---|---:|---:|---:|---:|")
        for text in options.processes:
            processes = int(text) if text.isdigit() else text
            frames, wall_s, cpu_s = measure(config(folder, clip, options.streams, processes))
            rate, each_ms = frames / wall_s, 1000 * cpu_s / frames
            print(f"| {text} | {frames} | {wall_s:.1f} | {rate:.1f} | {each_ms:.1f} |", flush=True)


if __name__ == "__main__":
    main()
