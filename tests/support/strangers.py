"""Somebody else's plugins, in one file far from the repository, and programs that find them there."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

MUSEWATCH = Path(sys.executable).with_name("musewatch")

ENTRY_POINTS = """
[musewatch.detector]
glow = night_shift:GlowDetector

[musewatch.tracker]
turnstile = night_shift:TurnstileTracker

[musewatch.sink]
tally = night_shift:TallySink
deaf = night_shift:DeafSink
"""

NIGHT_SHIFT = '''
"""A detector, a tracker and two sinks, as somebody writes them who has only read the contract."""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.messages import Detections


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GlowDetector:
    """Whatever is bright and stands in columns of its own is a person."""

    class Config(Strict):
        brightness: int = 30

    def __init__(self, config):
        self.brightness = config.brightness

    def detect(self, frames):
        return [self.find(frame.image) for frame in frames]

    def find(self, image):
        lit = (image > self.brightness).any(axis=2)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], lit.any(axis=0).astype(int), [0]])))
        boxes = []
        for x0, x1 in edges.reshape(-1, 2):
            rows = np.flatnonzero(lit[:, x0:x1].any(axis=1))
            if x1 - x0 >= 20:
                boxes.append((x0, rows[0], x1, rows[-1] + 1))
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


class TurnstileTracker:
    """Nobody overtakes: who is n-th from the right now was so before."""

    needs_embeddings = False

    class Config(Strict):
        pass

    def __init__(self, config):
        pass

    def update(self, frame, detections, embeddings):
        return np.argsort(np.argsort(-detections.xyxy[:, 0])).astype(np.int64)

    def reset(self):
        pass


class TallySink:
    """Writes who came and went."""

    class Config(Strict):
        path: Path

    def __init__(self, config):
        self.path = config.path

    def publish(self, events):
        with self.path.open("a") as file:
            for event in events:
                data = event["data"]
                if data["state"] != "updated":
                    print(data["stream_id"], event["subject"], data["state"], data["reason"], file=file)


class DeafSink:
    """Takes nothing."""

    class Config(Strict):
        pass

    def __init__(self, config):
        pass

    def publish(self, events):
        raise ConnectionError("nobody listens")
'''


def install(site: Path) -> None:
    """Puts the file and what an installer would write beside it into `site`."""
    information = site / "night_shift-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "night_shift.py").write_text(textwrap.dedent(NIGHT_SHIFT), encoding="utf-8")
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: night-shift\nVersion: 1.0\n", encoding="utf-8"
    )
    (information / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")


def environment(site: Path, **more: str) -> Mapping[str, str]:
    """Where programs find what is in `site`."""
    return {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **more}


def start(folder: Path, site: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts `musewatch` in a folder."""
    return subprocess.Popen(
        [str(MUSEWATCH), *arguments], cwd=folder, env=environment(site), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def musewatch(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `musewatch` in a folder, to its end."""
    process = start(folder, site, *arguments)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)
