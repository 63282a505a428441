"""Detection models in the formats of the ultralytics library, run by it (extra `agpl`).

The library likes to fetch weights, install packages, keep settings in the home folder and count its users: all of it
is switched off before it is imported. An exported `.onnx` is faster through the detector `onnx`, without this library.
"""

import atexit
import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from tempfile import mkdtemp
from typing import Any

import numpy as np
from pydantic import Field

from engines.files import digest_of
from pipeline.errors import ConfigError
from pipeline.messages import Detections, Frame
from pipeline.settings import ConfigPath, Settings

_SETTINGS = mkdtemp(prefix="musewatch-ultralytics-")
atexit.register(shutil.rmtree, _SETTINGS, ignore_errors=True)
os.environ["YOLO_CONFIG_DIR"] = _SETTINGS
os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from ultralytics import YOLO  # noqa: E402
from ultralytics.utils import LOGGER  # noqa: E402

LOGGER.setLevel(logging.CRITICAL)

_PICKLED, _OPEN = {".pt"}, {".onnx"}


class UltralyticsDetector:
    """Finds people with a local `.pt` or `.onnx` file.

    A `.pt` is a pickle and runs code when it is opened, so its sha256 must be named in `trust_pickle`.
    """

    class Config(Settings):
        """Which file, and what counts."""

        weights: ConfigPath = Field(description="A .pt or .onnx file; nothing is downloaded.")
        trust_pickle: str | None = Field(
            default=None,
            pattern=r"^[0-9a-f]{64}$",
            description="The sha256 of a .pt file that may be opened.",
        )
        min_score: float = Field(default=0.3, ge=0, le=1, description="Detections below are dropped.")
        min_height_px: int = Field(default=40, ge=1, le=100_000, description="People less tall are dropped.")
        max_iou: float = Field(
            default=0.7, ge=0, le=1, description="Of two boxes that overlap more, the worse goes."
        )
        person_class: int = Field(default=0, ge=0, le=100_000, description="Number of the class of people.")
        size: int = Field(default=640, ge=32, le=4096, description="Longer side of the network's input.")
        device: str = Field(default="cpu", description="cpu, or a CUDA device such as 0.")

    def __init__(self, config: Config) -> None:
        """Opens the file.

        Raises:
            ConfigError: No such file, another format, a pickle that is not trusted, or not a detection model.
        """
        self._config = config
        self.engine_digest = _identity(_checked_digest(config), config)
        try:
            self._model = YOLO(str(config.weights), task="detect")
            self._predict([np.zeros((64, 64, 3), np.uint8)])
        except Exception as error:  # whatever its loaders raise, this file is no use
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"detector ultralytics cannot open {config.weights}: {reason}",
                "give a detection model of ultralytics, as .pt or .onnx",
            ) from error

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One result a frame, in order; frames may differ in size."""
        if not frames:
            return []
        return [self._people(result.boxes) for result in self._predict([frame.image for frame in frames])]

    def _predict(self, images: list[Any]) -> list[Any]:
        results: list[Any] = self._model.predict(
            images,
            imgsz=self._config.size,
            conf=self._config.min_score,
            iou=self._config.max_iou,
            classes=[self._config.person_class],
            device=self._config.device,
            verbose=False,
        )
        return results

    def _people(self, boxes: Any) -> Detections:
        found = Detections(
            boxes.xyxy.cpu().numpy().astype(np.float32), boxes.conf.cpu().numpy().astype(np.float32)
        )
        height = found.xyxy[:, 3] - found.xyxy[:, 1]
        return found[height >= self._config.min_height_px]


def _identity(digest: str, config: UltralyticsDetector.Config) -> str:
    """`sha256:...` of the file and of how it is fed and read."""
    whole = f"sha256:{digest}\n{config.size} {config.person_class}"
    return f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}"


def _checked_digest(config: UltralyticsDetector.Config) -> str:
    path = config.weights
    if path.suffix not in _PICKLED | _OPEN:
        raise ConfigError(f"detector.weights {path} is neither .pt nor .onnx", "give a file of either kind")
    try:
        digest = digest_of(path)
    except OSError as error:
        raise ConfigError(
            f"detector.weights {path}: {error.strerror}", "nothing is downloaded: put it there"
        ) from error
    if path.suffix in _PICKLED and digest != config.trust_pickle:
        raise ConfigError(
            f"detector.weights {path} is a pickle, which runs code when it is opened; its sha256 is {digest}",
            "if you know where it comes from, name that as detector.trust_pickle",
        )
    return digest
