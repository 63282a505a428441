"""What picture files of four formats say of themselves, read before anybody unpacks them."""

import struct
import zlib
from collections.abc import Callable

from pipeline.errors import InputError
from pipeline.jpeg import START, jpeg_size

_PNG = b"\x89PNG\r\n\x1a\n"


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
