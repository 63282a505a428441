"""Person detector from any ONNX file whose manifest says how to feed and read it."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from engines.decode import Boxes
from engines.manifest import load_manifest
from engines.network import BoxNetwork
from engines.sessions.base import Device
from engines.sessions.open import open_session
from engines.shelf import EnginePath, remark_on
from pipeline.follow import geometry
from pipeline.messages import Detections, Frame
from pipeline.settings import Settings


class OnnxDetector:
    """Finds people with a network; frames of all streams go through it together.

    Attributes:
        engine_digest: `sha256:...` of the network.
        note: What to know of a bundled engine; None of others.

    Raises:
        EngineError: The engine cannot be used; nothing has started.
    """

    class Config(Settings):
        """Which engine, and what counts as a person."""

        engine: EnginePath = Field(description="Manifest of a detector, or its name in `engines list`.")
        min_score: float = Field(default=0.3, ge=0, le=1, description="Boxes below are left out.")
        nms_iou: float = Field(
            default=0.45, gt=0, le=1, description="Greatest overlap of two boxes that both stay."
        )
        min_height_px: int = Field(default=40, ge=1, le=100_000, description="Boxes less tall are left out.")
        threads: int = Field(default=1, ge=1, le=256, description="Processor threads of one run.")
        device: Device = Field(default="auto", description="auto takes a GPU when there is one that works.")

    def __init__(self, config: Config) -> None:
        manifest = load_manifest(config.engine)
        self._network = BoxNetwork(
            manifest,
            open_session(manifest, threads=config.threads, device=config.device),
            min_score=config.min_score,
            nms_iou=config.nms_iou,
        )
        self._min_height_px = config.min_height_px
        self.engine_digest: str = manifest.digest
        self.note = remark_on(config.engine)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One result a frame, in order, clipped to the frame, best score first.

        Raises:
            OutputError: The network's answer is not a number.
        """
        found = self._network.find([frame.image for frame in frames])
        return [self._people(frame, boxes) for frame, boxes in zip(frames, found, strict=True)]

    def _people(self, frame: Frame, boxes: Boxes) -> Detections:
        people = Detections(geometry.clip(boxes.xyxy, frame.size), boxes.score)
        size: np.ndarray = people.xyxy[:, 2:] - people.xyxy[:, :2]
        return people[(size[:, 0] > 0) & (size[:, 1] >= self._min_height_px)]
