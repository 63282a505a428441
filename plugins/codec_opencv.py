"""Pictures to bytes and back with OpenCV; what a file declares is checked before its pixels are unpacked."""

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import InputError
from pipeline.picture_size import declared_size
from pipeline.settings import Settings

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # OpenCV tells stderr about every damaged picture; our errors say it


class OpenCVCodec:
    """Reads JPEG, PNG, WebP and BMP, writes JPEG.

    Other formats are refused although OpenCV knows them: fewer parsers meet foreign bytes, and the size of
    these four is known before anything is allocated.
    """

    class Config(Settings):
        """Limits."""

        max_megapixels: float = Field(
            default=100.0, gt=0, le=1000, description="Larger pictures are refused before they are decoded."
        )

    def __init__(self, config: Config) -> None:
        self._max_pixels = config.max_megapixels * 1e6

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """(H, W, 3) BGR, turned as its EXIF says; transparency is dropped, 16 bits become 8.

        Raises:
            InputError: Not a picture of the four formats, damaged or cut short, or above `max_megapixels`.
        """
        return self._read(data, cv2.IMREAD_COLOR)

    def probe(self, data: bytes) -> None:
        """Nothing, where `decode` takes this; of a JPEG all is read, but an eighth of its sides is drawn.

        Raises:
            InputError: As `decode` would.
        """
        self._read(data, cv2.IMREAD_REDUCED_COLOR_8)

    def encode(self, image: NDArray[np.uint8], quality: int = 90) -> bytes:
        """JPEG of (H, W, 3) BGR; `quality` in [1, 100].

        Raises:
            InputError: The picture has no pixels, or more than 65,535 on a side.
        """
        height, width = image.shape[:2]
        if not (0 < height <= 65_535 and 0 < width <= 65_535):
            raise InputError(f"a JPEG cannot be {width}x{height}", "give a smaller picture")
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return bytes(data)

    def resize(self, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """To width, height: the mean over each new pixel when shrinking, linear when growing."""
        shrinks = size[0] <= image.shape[1] and size[1] <= image.shape[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized: NDArray[np.uint8] = cv2.resize(image, size, interpolation=method)
        return resized

    def _read(self, data: bytes, how: int) -> NDArray[np.uint8]:
        width, height = declared_size(data)
        if width * height > self._max_pixels:
            raise InputError(
                f"the picture declares {width}x{height} pixels, more than {self._max_pixels / 1e6:g} million",
                "shrink it, or raise codec.max_megapixels",
            )
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), how)
        except cv2.error:
            image = None
        if image is None:
            raise InputError("the picture is damaged or cut short", "give another copy of it")
        decoded: NDArray[np.uint8] = image
        return decoded
