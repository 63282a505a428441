import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.picture_size import declared_size
from plugins.codec_opencv import OpenCVCodec

CODEC = OpenCVCodec(OpenCVCodec.Config())


def picture() -> np.ndarray:
    """64x40 with a red left half and a blue top right corner."""
    image = np.full((40, 64, 3), 40, np.uint8)
    image[:, :32] = (0, 0, 250)
    image[:8, 48:] = (250, 0, 0)
    return image


def encoded(kind: str, *options: int) -> bytes:
    return bytes(cv2.imencode(kind, picture(), options)[1])


def with_exif_turn(jpeg: bytes, turn: int) -> bytes:
    """A JPEG with the one EXIF entry that says how the camera was held."""
    entry = struct.pack("<HHIHxx", 0x0112, 3, 1, turn)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


EVERY_KIND = [
    (".jpg",),
    (".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    (".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    (".png",),
    (".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
    (".webp", cv2.IMWRITE_WEBP_QUALITY, 101),  # lossless
    (".bmp",),
]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_format_declares_its_size_and_is_read(kind: tuple[str, int]) -> None:
    data = encoded(*kind)
    assert declared_size(data) == (64, 40)
    assert np.abs(CODEC.decode(data).astype(int) - picture()).mean() < 8


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_format_cut_short_is_refused_in_silence(kind: tuple[str, int], capfd) -> None:
    data = encoded(*kind)
    for end in (len(data) // 2, len(data) * 3 // 4, 20):
        with pytest.raises(InputError, match="damaged or cut short"):
            CODEC.decode(data[:end])
    assert capfd.readouterr() == ("", "")


def test_a_png_with_a_damaged_byte_is_refused_in_silence(capfd) -> None:
    data = bytearray(encoded(".png"))
    data[60] ^= 0xFF
    with pytest.raises(InputError, match="damaged"):
        CODEC.decode(bytes(data))
    assert capfd.readouterr() == ("", "")


def test_an_extended_webp_declares_its_canvas() -> None:
    header = b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    assert declared_size(header + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")) == (640, 480)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (1, lambda image: image),
        (3, lambda image: np.rot90(image, 2)),
        (6, lambda image: np.rot90(image, -1)),
        (8, lambda image: np.rot90(image, 1)),
    ],
)
def test_exif_turns_the_picture(turn: int, expected) -> None:
    upright = CODEC.decode(with_exif_turn(encoded(".jpg", cv2.IMWRITE_JPEG_QUALITY, 95), turn))
    wanted = expected(picture())
    assert upright.shape == wanted.shape
    assert np.abs(upright.astype(int) - wanted).mean() < 8


def test_grey_transparent_and_deep_pictures_become_bgr() -> None:
    grey = np.full((10, 12), 200, np.uint8)
    assert (CODEC.decode(bytes(cv2.imencode(".png", grey)[1])) == 200).all()
    clear = np.dstack([picture(), np.zeros((40, 64), np.uint8)])
    assert (CODEC.decode(bytes(cv2.imencode(".png", clear)[1])) == picture()).all()
    deep = picture().astype(np.uint16) * 257
    assert (CODEC.decode(bytes(cv2.imencode(".png", deep)[1])) == picture()).all()


def test_an_image_bomb_is_refused_before_memory_is_taken() -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match="declares 20000x20000 pixels, more than 100 million"):
        CODEC.decode(png_header(20_000, 20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_the_limit_can_be_set() -> None:
    data = encoded(".jpg")
    assert OpenCVCodec(OpenCVCodec.Config(max_megapixels=0.00256)).decode(data).shape == (40, 64, 3)
    with pytest.raises(InputError, match="64x40"):
        OpenCVCodec(OpenCVCodec.Config(max_megapixels=0.0025)).decode(data)


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 0)])
def test_a_picture_without_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(InputError):
        CODEC.decode(png_header(width, height))


@pytest.mark.parametrize("kind", [".tiff", ".ppm", ".hdr"])
def test_rare_formats_are_refused(kind: str) -> None:
    image = picture().astype(np.float32) / 255 if kind == ".hdr" else picture()
    with pytest.raises(InputError, match="not a picture"):
        CODEC.decode(bytes(cv2.imencode(kind, image)[1]))


def test_random_bytes_after_a_true_start_raise_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBPVP8 ", b"RIFF....WEBPVP8L", b"BM"):
        for length in (0, 1, 5, 40, 400):
            with pytest.raises(InputError):
                CODEC.decode(start + rng.bytes(length))


def test_a_jpeg_cannot_be_empty() -> None:
    with pytest.raises(InputError, match="0x5"):
        CODEC.encode(np.zeros((5, 0, 3), np.uint8))
