"""A detector's engine: pictures to boxes in pixels of each picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.decode import Boxes, Reading, decode
from engines.errors import EngineError, ManifestError
from engines.manifest import Decoder, Manifest
from engines.network import Answer, PictureNetwork
from engines.sessions.base import Session


class BoxNetwork:
    """Finds boxes in pictures.

    Args:
        manifest: Of a detector.
        session: Its network, tried once on black pictures.
        min_score: Boxes below are left out.
        nms_iou: Greatest overlap of two boxes that both stay, for networks that leave suppression to us.

    Raises:
        ManifestError: Not a detector.
        TensorError: Input or output do not fit the manifest.
    """

    def __init__(
        self, manifest: Manifest, session: Session, *, min_score: float = 0.3, nms_iou: float = 0.45
    ) -> None:
        if manifest.decoder is None:
            raise ManifestError(
                f"engine {manifest.name} is no detector, its role is {manifest.role}",
                "name a detector's manifest here",
            )
        self._decoder: Decoder = manifest.decoder
        self._min_score = min_score
        self._nms_iou = nms_iou
        self._network = PictureNetwork(manifest, session)
        self._read(self._network.dry_run())

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[Boxes]:
        """One result a BGR picture, in its own pixels, not clipped to it; sizes may differ.

        Raises:
            OutputError: The network's answer is not a number.
        """
        found: list[Boxes] = []
        for answer in self._network.run(images):
            for boxes, placement in zip(self._read(answer), answer.placements, strict=False):
                found.append(Boxes(placement.to_source(boxes.xyxy), boxes.score))
        return found

    def _read(self, answer: Answer) -> list[Boxes]:
        manifest = self._network.manifest
        reading = Reading(manifest.preprocess.size, answer.batch, self._min_score, self._nms_iou)
        try:
            return decode(answer.outputs, self._decoder, reading)
        except EngineError as error:
            raise type(error)(f"engine {manifest.name}: {error.problem}", error.fix) from None
