"""A folder where people can be enrolled with real parts: config, tiny embedder, a detector of drawn people."""

import json
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from engines.testing import stripe_embedder, write_engine
from pipeline import registry
from pipeline.cli.main import main
from pipeline.messages import Detections, Frame
from pipeline.settings import Settings
from plugins.codec_opencv import OpenCVCodec

CODEC = OpenCVCodec(OpenCVCodec.Config())

CONFIG = """
version: 1
data_dir: data
detector: {use: drawn, min_height_px: 40}
embedder: {use: onnx, engine: engine/tiny.yaml}
"""


class DrawnDetector:
    """Finds the people of `tests.support.pictures.scene`: whatever is not dark."""

    class Config(Settings):
        """Filter."""

        min_height_px: int = 40

    def __init__(self, config: Config) -> None:
        self._min_height_px = config.min_height_px

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [self._find(frame.image) for frame in frames]

    def _find(self, image: NDArray[np.uint8]) -> Detections:
        lit = (image > 30).any(axis=2)
        slices = find_objects(label(lit, np.ones((3, 3)))[0])
        boxes = [(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in slices]
        tall = [box for box in boxes if box[3] - box[1] >= self._min_height_px]
        xyxy = np.array(tall, np.float32).reshape(-1, 4)
        return Detections(xyxy, np.ones(len(xyxy), np.float32))


class Desk:
    """Runs `musewatch watchlist` in a folder.

    Args:
        folder: Gets `c.yaml` and the engine.
        capsys: Catches what is printed.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        point = {"max_distance": 0.2, "chosen_on": "drawn people"}
        write_engine(folder / "engine", stripe_embedder((64, 32)), operating_point=point)
        (folder / "c.yaml").write_text(CONFIG)

    def picture(self, name: str, image: NDArray[np.uint8]) -> str:
        """Writes a JPEG; returns its path."""
        path = self.folder / name
        path.write_bytes(CODEC.encode(image, 95))
        return str(path)

    def run(self, command: str, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self._capsys.readouterr()
        code = main(["watchlist", command, "-c", str(self.folder / "c.yaml"), *arguments])
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    def json(self, command: str, *arguments: str) -> Any:
        """The document of a command that ends with 0."""
        code, out, err = self.run(command, *arguments, "--json")
        assert code == 0, err
        return json.loads(out)


def drawn_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the detector known as `drawn`, by an entry point like anybody's."""
    point = EntryPoint("drawn", f"{__name__}:DrawnDetector", "musewatch.detector")
    monkeypatch.setitem(registry.known("detector"), "drawn", point)
