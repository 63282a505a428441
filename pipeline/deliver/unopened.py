"""Crops as they arrive: their pictures are unpacked when somebody looks at them, and few are ever looked at."""

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.jpeg import jpeg_size
from pipeline.messages import Crop, Scene
from pipeline.protocols import ProbingCodec


class UnopenedCrop(Crop):
    """A crop whose `image` is unpacked at the first look, once; made by `unopened`."""

    __slots__ = ("_codec", "_jpeg")
    _codec: ProbingCodec
    _jpeg: bytes | None

    def __getattr__(self, name: str) -> Any:
        """The image, which is not there until it is asked for; a changed copy has that alone."""
        if name == "_jpeg":
            return None
        if name != "image" or self._jpeg is None:
            raise AttributeError(name)
        image = self._codec.decode(self._jpeg)
        object.__setattr__(self, "image", image)
        return image

    @property
    def pixels(self) -> int:
        """As the picture declares, so that it stays unopened."""
        if self._jpeg is None:
            return super().pixels
        width, height = jpeg_size(self._jpeg)
        return width * height


def unopened(
    jpeg: bytes,
    codec: ProbingCodec,
    *,
    box: tuple[float, float, float, float],
    pts_s: float,
    captured_at: datetime,
    quality: float,
    embedding: NDArray[np.float32],
    scene: Scene | None,
) -> Crop:
    """The crop of a picture that was probed and not unpacked.

    Raises:
        InputError: The codec will not unpack it.
    """
    codec.probe(jpeg)
    crop = object.__new__(UnopenedCrop)
    known = {
        "_jpeg": jpeg,
        "_codec": codec,
        "box": box,
        "pts_s": pts_s,
        "captured_at": captured_at,
        "quality": quality,
        "embedding": embedding,
        "scene": scene,
    }
    for name, value in known.items():
        object.__setattr__(crop, name, value)
    return crop
