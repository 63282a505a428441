"""What a hit shows: the sight nearest to who was found; its crop, frame and mask are made when all is decided."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import HangingError
from pipeline.messages import Crop, Mask, PictureRef, Tracklet
from pipeline.plugged import MaskQuestion, PluggedMasker
from pipeline.protocols import Codec
from pipeline.store.pictures import EvidenceStore

CROP, MASK = PICTURES = ("crop", "mask")
"""What may be missing of a hit, as `degraded` names it."""

GOOD_SHARE = 0.5  # of the best crop's quality: a poorer one is not shown, however near
AS_NEAR = 0.02  # of sights that differ by no more the clearest is shown


@dataclass(frozen=True, slots=True)
class Look:
    """The pictures of a tracklet's best sight; `degraded` names those that could not be made."""

    crop: PictureRef | None
    frame: PictureRef | None
    mask: Mask | None
    degraded: tuple[str, ...]


def distances_to(tracklet: Tracklet, identity: NDArray[np.float32]) -> dict[float, float]:
    """By its time, how far each crop of a tracklet is from somebody.

    Args:
        tracklet: The question.
        identity: (D,) unit vector of the enrolment.
    """
    return {crop.pts_s: float(np.linalg.norm(crop.embedding - identity)) for crop in tracklet.crops}


def nearest_sight(tracklet: Tracklet, distances: Mapping[float, float]) -> Crop:
    """Which sight of a tracklet shows best whom those distances are to."""
    good = [crop for crop in tracklet.sights if crop.quality >= GOOD_SHARE * tracklet.best.quality]
    nearest = min(distances[crop.pts_s] for crop in good)
    as_near = [crop for crop in good if distances[crop.pts_s] <= nearest + AS_NEAR]
    return max(as_near, key=lambda crop: crop.quality)


class Evidence:
    """Makes and stores what hits show; whatever fails there costs the picture or the mask only.

    Args:
        store: Keeps the pictures.
        codec: Encodes the crops.
        masker: Cuts people out.
        now: Wall clock in seconds, for the age of the pictures.
    """

    def __init__(
        self, store: EvidenceStore, codec: Codec, masker: PluggedMasker, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._codec = codec
        self._masker = masker
        self._now = now

    @property
    def needs_enrolled(self) -> bool:
        """Whether it is to be told whom a tracklet shows."""
        return self._masker.facts.guided

    def show(self, sights: Sequence[MaskQuestion]) -> list[Look]:
        """The best sight of each tracklet, with whom it shows where that is needed."""
        masks = self._masks(sights)
        return [self._look(tracklet, mask) for (tracklet, _), mask in zip(sights, masks, strict=True)]

    def _look(self, tracklet: Tracklet, mask: Mask | Exception | None) -> Look:
        crop, missing = self._crop(tracklet)
        if isinstance(mask, Exception):
            mask, missing = None, (*missing, MASK)
        return Look(crop, self._store.put(tracklet.scene.jpeg, self._now()), mask, missing)

    def _crop(self, tracklet: Tracklet) -> tuple[PictureRef | None, tuple[str, ...]]:
        """The crop where it can be encoded, else what is missing; the door has told why."""
        try:
            return self._store.put(self._codec.encode(tracklet.best.image), self._now()), ()
        except Exception:
            return None, (CROP,)

    def _masks(self, sights: Sequence[MaskQuestion]) -> Sequence[Mask | Exception | None]:
        """Masks of all; one by one where that fails, so that one bad sight costs its own mask."""
        if not sights:
            return []
        try:
            return self._masker.mask(sights)
        except HangingError as error:
            return [error] * len(sights)
        except Exception as error:
            if len(sights) == 1:
                return [error]
            return [self._masks([sight])[0] for sight in sights]
