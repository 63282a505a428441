"""Pictures to bytes and back with OpenCV; what a file declares is checked before its pixels are unpacked."""

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import InputError
from pipeline.jpeg import START, jpeg_size
from pipeline.settings import Settings

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # OpenCV tells stderr about every damaged picture; our errors say it

_PNG = b"\x89PNG\r\n\x1a\n"


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
        width, height = declared_size(data)
        if width * height > self._max_pixels:
            raise InputError(
                f"the picture declares {width}x{height} pixels, more than {self._max_pixels / 1e6:g} million",
                "shrink it, or raise codec.max_megapixels",
            )
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
        if image is None:
            raise InputError("the picture is damaged or cut short", "give another copy of it")
        decoded: NDArray[np.uint8] = image
        return decoded

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


def declared_size(data: bytes) -> tuple[int, int]:
    """Width and height that a picture file declares, before any turn by EXIF.

    Args:
        data: The whole file.

    Raises:
        InputError: Not JPEG, PNG, WebP or BMP, or its header is damaged.

    >>> declared_size(b"BM" + bytes(16) + struct.pack("<ii", 640, -480))
    (640, 480)
    """
    size_of = _reader(data)
    if size_of is None:
        raise InputError("not a picture", "give a JPEG, PNG, WebP or BMP file")
    try:
        width, height = size_of(data)
    except (struct.error, IndexError, ValueError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise InputError("the picture is damaged or cut short", "give another copy of it")
    return width, height


def _reader(data: bytes) -> Callable[[bytes], tuple[int, int]] | None:
    if data.startswith(START):
        return jpeg_size
    if data.startswith(_PNG):
        return _png_size
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_size
    if data.startswith(b"BM"):
        return _bmp_size
    return None


def _png_size(data: bytes) -> tuple[int, int]:
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(memoryview(data)[at + 4 : at + 8 + length]) != checksum:
            raise ValueError("wrong checksum")
        at += 12 + length
    width, height = struct.unpack_from(">II", data, len(_PNG) + 8)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":  # extended: canvas of 24-bit sides minus one
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":  # lossless: two 14-bit sides minus one
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _bmp_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<ii", data, 18)  # a negative height: rows from the top
    return width, abs(height)
