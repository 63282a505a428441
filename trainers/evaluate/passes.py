"""Passes over a clip with parts left out: the loop of a run up to the tracklets, no frame detected twice.

The detector and the embedder look at single pictures, so what they said of one holds for every pass that shows it;
tracking is done anew each time.
"""

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import build
from pipeline.build import Looks
from pipeline.config import Config
from pipeline.messages import Detections, Frame, Tracklet
from pipeline.plugged import PluggedDetector, PluggedEmbedder
from pipeline.protocols import Detector, Embedder
from pipeline.runner.inline import InlineFront
from pipeline.settings import choose
from trainers.evaluate.frames import ALL, Thinning

Span = tuple[float, float]
Pass = list[list[Tracklet]]
"""Tracklets asked about together, in order."""


class RememberingDetector:
    """Asks the detector about each frame of a stream once; frames are known by stream and index."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._known: dict[tuple[str, int], Detections] = {}

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One result a frame, in order."""
        new = [frame for frame in frames if (frame.stream_id, frame.index) not in self._known]
        for frame, found in zip(new, self._detector.detect(new) if new else (), strict=True):
            self._known[frame.stream_id, frame.index] = found
        return [self._known[frame.stream_id, frame.index] for frame in frames]


class RememberingEmbedder:
    """Asks the embedder about each crop once; crops are known by their pixels."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[tuple[tuple[int, ...], bytes], NDArray[np.float32]] = {}
        self.dimension = embedder.dimension

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows."""
        keys = [(crop.shape, hashlib.blake2b(crop.tobytes()).digest()) for crop in crops]
        new = {key: crop for key, crop in zip(keys, crops, strict=True) if key not in self._known}
        rows = self._embedder.embed(list(new.values())) if new else ()
        self._known.update(zip(new, rows, strict=True))
        return np.array([self._known[key] for key in keys], np.float32).reshape(len(keys), self.dimension)


def remembered_detections(detector: PluggedDetector) -> PluggedDetector:
    """The same detector with all that is known of it, asked only once about the same frame."""
    return replace(detector, plugin=RememberingDetector(detector.plugin))


def remembered_vectors(embedder: PluggedEmbedder) -> PluggedEmbedder:
    """The same embedder with all that is known of it, asked only once about the same crop."""
    return replace(embedder, plugin=RememberingEmbedder(embedder.plugin))


def record(
    config: Config,
    detector: PluggedDetector,
    looks: Looks,
    clip: Path,
    skip: Sequence[Span] = (),
    shown: Thinning = ALL,
) -> Pass:
    """What a run asks about a clip, frame by frame; its stream is called as the file is.

    Args:
        config: Its tracker and tracks are used.
        detector: Finds people.
        looks: Tell how they look.
        clip: The file.
        skip: Seconds left out, [from, to).
        shown: Which of the other frames are shown.

    Raises:
        InputError: The file is no video, or damaged.
    """
    front = InlineFront(*build.front_stages(config, detector, looks, _fail))
    choice = choose("file", path=str(clip.resolve()), pace="fast", skip=list(skip))
    source: Any = build.plugin(config, "source", choice, str(clip))
    with closing(source.frames()) as frames:
        asked = [front.push(replace(frame, stream_id=clip.stem))[1] for frame in shown(frames)]
    return [tracklets for tracklets in (*asked, front.finish()) if tracklets]


def _fail(stream_id: str, error: Exception) -> None:
    del stream_id
    raise error
