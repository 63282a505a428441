"""What a frame costs outside the networks: all processor time of a run, less that of the networks' sessions.

`python -m tests.bench.outside --engines DETECTOR.yaml EMBEDDER.yaml [--clip CLIP.mp4 --enrol FOLDER] [--streams 1 8]`

Every frame of a clip as fast as it goes, in so many streams, with ten people enrolled at most; one thread a network.
`--clip` is footage, `--enrol` a folder of pictures of one person each. Without them a crowded one is drawn once (1080p,
12 s, twenty people who pass one camera: `musewatch world clips`, some minutes) and kept in build/. Decoding alone is
printed beside, since it is in all of them. To compare two versions, run this file with each of them, in turns.
"""

import argparse
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import onnxruntime

from pipeline import build
from pipeline.config import Config, parse_config
from pipeline.desk.desk import Desk
from pipeline.desk.equipment import Equipment
from pipeline.runner.runner import Runner
from tests.support.strangers import MUSEWATCH
from tests.tree import ROOT
from trainers.evaluate.clips import enrol_only
from trainers.evaluate.enrolling import Photo
from trainers.evaluate.frames import play

CROWDED = ROOT / "build" / "bench" / "crowded"
WORLD = "--domain hall --size 1920x1080 --people 20 --cameras 1 --seconds 12 --fps 15 --enrolled 10 --seed 5"
ENROLLED = 10


class Sessions:
    """Counts the processor time of all calls of onnxruntime's sessions."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self._lock = threading.Lock()
        for name in ("run", "run_with_iobinding"):
            setattr(
                onnxruntime.InferenceSession, name, self._timed(getattr(onnxruntime.InferenceSession, name))
            )

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **options: Any) -> Any:
            begun_s = time.thread_time()
            try:
                return call(*given, **options)
            finally:
                spent_s = time.thread_time() - begun_s
                with self._lock:
                    self.spent_s += spent_s

        return timed


def crowded() -> tuple[Path, Path]:
    """The crowded clip and its people, drawn where they are not there yet."""
    if not (CROWDED / "hall-1.mp4").is_file():
        subprocess.run([MUSEWATCH, "world", "clips", CROWDED, *WORLD.split()], check=True)
    return CROWDED / "hall-1.mp4", CROWDED / "enrol"


def config(folder: Path, clip: Path, streams: int, engines: tuple[Path, Path]) -> Config:
    """So many streams of the clip, every frame, as fast as possible."""
    detector, embedder = ({"use": "onnx", "engine": str(path.resolve())} for path in engines)
    source = {"use": "file", "path": str(clip.resolve()), "pace": "fast"}
    document = {
        "version": 1,
        "data_dir": str(folder / "data"),
        "streams": [{"id": f"s{i}", "source": source} for i in range(streams)],
        "detector": detector,
        "embedder": embedder,
        "sinks": [{"use": "jsonl", "path": str(folder / "hits.jsonl")}],
        "telemetry": {"listen": None},
    }
    return parse_config(document, folder)


def enrol(made: Config, pictures: Path) -> None:
    """Puts up to ten people on the watchlist."""
    photos = [Photo(f"e{i}", path.stem, path) for i, path in enumerate(sorted(pictures.glob("*.jpg")))]
    with ExitStack() as opened:
        guests = build.guests(made)
        looks = build.open_looks(made, opened, guests)
        judges = build.open_judges(made, opened, guests)
        enrol_only(Desk(judges.watchlist, Equipment(made, looks)), photos[:ENROLLED])


def decoding_ms(clip: Path) -> float:
    """Processor ms a frame of reading the clip and of nothing else."""
    begun_s = time.process_time()
    count = sum(1 for _ in play(clip))
    return (time.process_time() - begun_s) / count * 1e3


def main() -> None:
    """Reads the command line; a line a number of streams."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", nargs=2, type=Path, required=True, metavar=("DETECTOR", "EMBEDDER"))
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--enrol", type=Path, help="pictures of people, one a file")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8])
    given = parser.parse_args()
    clip, pictures = (given.clip, given.enrol) if given.clip else crowded()
    sessions = Sessions()
    print(f"decoding {decoding_ms(clip):.2f} ms a frame\nstreams  frames  all ms  networks  outside  hits")
    for streams in given.streams:
        with tempfile.TemporaryDirectory() as folder:
            made = config(Path(folder), clip, streams, tuple(given.engines))
            if pictures is not None:
                enrol(made, pictures)
            runner = Runner(made)
            sessions.spent_s, begun_s = 0.0, time.process_time()
            summary = runner.run()
            all_s = time.process_time() - begun_s
        frames = sum(stream.frames_inferred for stream in summary.streams)
        each = [part / frames * 1e3 for part in (all_s, sessions.spent_s, all_s - sessions.spent_s)]
        print(
            f"{streams:7} {frames:7} {each[0]:7.2f} {each[1]:9.2f} {each[2]:8.2f} {summary.hits:5}",
            flush=True,
        )


if __name__ == "__main__":
    main()
