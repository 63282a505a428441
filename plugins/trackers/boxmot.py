"""Any tracker of the boxmot library by its name, fed our boxes, vectors and times (extra `agpl`).

The library can fetch re-identification weights and install packages by itself. Neither can happen here: vectors are
ours, camera-motion compensation is off unless asked for, and its installer is replaced by a refusal.
"""

import logging
from typing import Annotated, Any, NoReturn

import boxmot.utils  # first: importing it resets its logging
import numpy as np
import torch
from boxmot import create_tracker
from boxmot.structures import Boxes
from boxmot.structures import Detections as BoxmotDetections
from boxmot.trackers.registry import TRACKER_DEFINITIONS
from boxmot.trackers.specs import TrackerSpec
from boxmot.utils.checks import RequirementsChecker
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import ConfigError
from pipeline.messages import Detections, Frame
from pipeline.settings import LARGE, Settings

boxmot.utils.logger.handlers.clear()
boxmot.utils.logger.setLevel(logging.CRITICAL)


def _install_nothing(_checker: object, packages: object, *_: object) -> NoReturn:
    raise ConfigError(f"boxmot wants to install {packages}", "install the extra `agpl` yourself")


RequirementsChecker._install_packages = _install_nothing  # noqa: SLF001

_MOTION_COMPENSATION_OFF = {
    "boosttrack": {"use_cmc": False},
    "botsort": {"use_cmc": False},
    "occluboost": {"use_cmc": False},
    "deepocsort": {"cmc_off": True},
}
Number = Annotated[int, Field(ge=-LARGE, le=LARGE)] | Annotated[float, Field(ge=-LARGE, le=LARGE)]

_WITHOUT_TIME = {"sfsort"}  # counts frames; the others predict by the stream's time
_NEEDS_MASKS = {"sam2mot"}


class BoxmotTracker:
    """Follows the people of one stream with a tracker of boxmot; ids belong to the instance.

    `needs_embeddings` follows from the method and its options: `use_embeddings: false` turns appearance off where a
    method has both.
    """

    class Config(Settings):
        """Which tracker, and how."""

        method: str = Field(
            default="botsort",
            description="boosttrack, botsort, bytetrack, deepocsort, hybridsort, occluboost, ocsort, sfsort or"
            " strongsort.",
        )
        options: dict[str, bool | Number | str] = Field(
            default_factory=dict, description="The method's own parameters, by boxmot's names."
        )

    def __init__(self, config: Config) -> None:
        """Builds the tracker.

        Raises:
            ConfigError: boxmot has no such method, or the method no such option.
        """
        self._tracker = _build(config)
        self._with_time = config.method not in _WITHOUT_TIME
        self.needs_embeddings = bool(self._tracker.requirements.embeddings)
        self._last_pts_s = -np.inf

    def update(
        self, frame: Frame, detections: Detections, embeddings: NDArray[np.float32] | None
    ) -> NDArray[np.int64]:
        """Track id of each detection, (N,), in the order given; -1 = none yet.

        Raises:
            ValueError: The tracker needs embeddings, and there are none.
        """
        if self.needs_embeddings and len(detections) and embeddings is None:
            raise ValueError("this tracker needs the embedding of every detection")
        self._last_pts_s = max(
            frame.pts_s, self._last_pts_s + 1e-3
        )  # a camera's clock may stand or step back
        vectors: dict[str, Any] = {}
        if self.needs_embeddings and embeddings is not None and len(detections):
            vectors["embeddings"] = torch.from_numpy(np.ascontiguousarray(embeddings, np.float32))
        given = BoxmotDetections(
            geometry=Boxes(torch.from_numpy(np.ascontiguousarray(detections.xyxy, np.float32))),
            scores=torch.from_numpy(np.ascontiguousarray(detections.score, np.float32)),
            class_ids=torch.zeros(len(detections), dtype=torch.int64),
            sample_id=str(frame.index),
            **vectors,
        )
        time = {"timestamp_s": float(self._last_pts_s)} if self._with_time else {}
        tracks = self._tracker.update(given, frame.image, **time)
        ids = np.full(len(detections), -1, np.int64)
        rows = np.asarray(tracks.detection_indices, np.int64)
        seen = rows >= 0  # others are predictions without a box of this frame
        ids[rows[seen]] = np.asarray(tracks.track_ids, np.int64)[seen]
        return ids

    def reset(self) -> None:
        """Forgets everything; ids start again."""
        self._tracker.reset()
        self._last_pts_s = -np.inf


def _build(config: BoxmotTracker.Config) -> Any:
    methods = sorted(TRACKER_DEFINITIONS.keys() - _NEEDS_MASKS)
    if config.method not in methods:
        raise ConfigError(f"boxmot has no tracker {config.method!r}", f"one of {', '.join(methods)}")
    options = _MOTION_COMPENSATION_OFF.get(config.method, {}) | config.options
    if config.method not in _WITHOUT_TIME:
        options |= {"variable_dt": True}
    try:
        return create_tracker(TrackerSpec(name=config.method, options=tuple(sorted(options.items()))))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"tracker boxmot {config.method!r}: {error}", "mend its options") from error
