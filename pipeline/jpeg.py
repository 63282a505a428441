"""What a JPEG says of itself, read before anybody unpacks it."""

import struct

from pipeline.errors import InputError

START = b"\xff\xd8"
MAX_SCANS = 64
"""A progressive JPEG comes in about ten passes over all of its pixels; some kB can ask for thousands."""

_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}  # markers without a body
_NOT_SIZES = {0xC4, 0xC8, 0xCC}  # tables among the start-of-frame codes 0xC0..0xCF
_SCAN = b"\xff\xda"


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG declares, before any turn by EXIF.

    Args:
        data: The whole file.

    Raises:
        InputError: Not a JPEG, a header that is damaged, or more passes than any camera writes.

    >>> jpeg_size(bytes.fromhex("ffd8 ffc0 0011 08 01e0 0280"))
    (640, 480)
    """
    if not data.startswith(START):
        raise InputError("not a JPEG")
    try:
        width, height = _frame_size(data)
    except (struct.error, IndexError, ValueError):
        width = height = 0
    if not (width and height):
        raise InputError("the picture is damaged or cut short", "give another copy of it")
    if data.count(_SCAN[:1]) > MAX_SCANS and data.count(_SCAN) > MAX_SCANS:  # one byte is counted much faster
        raise InputError(f"the picture comes in more than {MAX_SCANS} passes", "save it as a plain JPEG")
    return width, height


def _frame_size(data: bytes) -> tuple[int, int]:
    at = len(START)
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _NO_LENGTH:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise ValueError("no frame before the data")
