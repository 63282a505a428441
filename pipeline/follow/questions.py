"""When a track has shown enough: from then on the whole cut holds, before only what is sure is a hit."""

from dataclasses import dataclass

from pipeline.config import TracksConfig
from pipeline.messages import Tracklet

ENOUGH_AT_REST = 2  # crops of a track that will not get more
MOVED_SHARE = (
    0.18  # of the cut; no distance has changed by more than the evidence has moved since the last question
)


@dataclass(frozen=True, slots=True)
class Ripeness:
    """Tells ripe tracks from those that are asked about early.

    Attributes:
        crops: Kept of a ripe track, at least.
        seconds: Since its first sight, at least.
    """

    crops: int
    seconds: float

    @classmethod
    def of(cls, config: TracksConfig) -> "Ripeness":
        """By `ripe_crops` and `ripe_s`."""
        return cls(config.ripe_crops, config.ripe_s)

    @property
    def crops_at_rest(self) -> int:
        """What is enough of a track that is out of sight."""
        return min(ENOUGH_AT_REST, self.crops)

    def reached(self, crops: int, seconds: float) -> bool:
        """Whether a track with so many crops, so long after its first sight, is ripe."""
        return crops >= self.crops and seconds >= self.seconds

    def is_early(self, tracklet: Tracklet) -> bool:
        """Whether a question came before the track was ripe; one that is out of sight needs `crops_at_rest`."""
        crops = len(tracklet.crops)
        if tracklet.end is not None or tracklet.decided_pts_s > tracklet.last_pts_s:
            return crops < self.crops_at_rest
        return not self.reached(crops, tracklet.decided_pts_s - tracklet.first_pts_s)
