"""ByteTrack from the `trackers` library, driven by the stream's own time rather than by a count of frames.

Source: Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022.
"""

import numpy as np
import supervision as sv
from numpy.typing import NDArray
from pydantic import Field
from trackers import ByteTrackTracker

from pipeline.messages import Detections, Frame
from pipeline.settings import LONG_S, Settings

_LIBRARY_FPS = 30.0  # the library counts its lost-track buffer in frames of this rate


class ByteTracker:
    """Follows people by predicted position: sure boxes first, then what is left by doubtful ones.

    Frames may come at any rate and unevenly: prediction and forgetting go by `frame.pts_s`. Ids belong to the
    instance and start at 0 again after `reset`; a person has one from their second sight on.

    The defaults were chosen on simulated crowds at 3 to 10 frames a second with a tenth of the boxes missing.
    There the library's own `motion_fps` of 30 breaks tracks two to three times as often as 7, and a larger
    `min_iou` or a shorter `lost_s` break more tracks than they keep pure.
    """

    needs_embeddings = False

    class Config(Settings):
        """When boxes are one person."""

        lost_s: float = Field(
            default=1.0,
            ge=0,
            le=LONG_S,
            description="Seconds unseen after which a track ends; its id is never used again.",
        )
        start_score: float = Field(
            default=0.5, ge=0, le=1, description="A detection below never starts a track."
        )
        sure_score: float = Field(
            default=0.5, ge=0, le=1, description="Detections below are only matched to tracks left over."
        )
        min_iou: float = Field(
            default=0.1, ge=0, le=1, description="Least overlap with the predicted box to be the same person."
        )
        min_sights: int = Field(
            default=1, ge=1, le=1000, description="Consecutive matches before a track has an id."
        )
        motion_fps: float = Field(
            default=7.0,
            gt=0,
            le=120,
            description="Frames a second that the motion model is tuned for.",
        )

    def __init__(self, config: Config) -> None:
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(config.lost_s * _LIBRARY_FPS),
            frame_rate=config.motion_fps,
            track_activation_threshold=config.start_score,
            minimum_consecutive_frames=config.min_sights,
            minimum_iou_threshold=config.min_iou,
            high_conf_det_threshold=config.sure_score,
        )
        self._last_pts_s = -np.inf

    def update(
        self, frame: Frame, detections: Detections, embeddings: NDArray[np.float32] | None
    ) -> NDArray[np.int64]:
        """Track id of each detection, (N,), in the order given; -1 = none yet."""
        del embeddings
        self._last_pts_s = max(
            frame.pts_s, self._last_pts_s + 1e-3
        )  # a camera's clock may stand or step back
        known = self._tracker.update(
            sv.Detections(
                xyxy=detections.xyxy,
                confidence=detections.score,
                data={"row": np.arange(len(detections))},
            ),
            timestamp=self._last_pts_s,
        )
        ids = np.full(len(detections), -1, np.int64)
        if len(known):
            ids[known.data["row"]] = known.tracker_id  # the library returns them in another order
        return ids

    def reset(self) -> None:
        """Forgets everything; ids start again."""
        self._tracker.reset()
        self._last_pts_s = -np.inf
