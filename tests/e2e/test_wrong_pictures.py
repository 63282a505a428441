"""Wrong pictures and options: each gets one clear message and its exit code, and enrols nobody."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.enrolment_desk import CODEC, Desk, drawn_detector
from tests.support.pictures import BLUE, blurred, person, scene

Make = Callable[[Path], None]


def jpeg(image: np.ndarray, *, end: int | None = None) -> Make:
    return lambda path: _write(path, CODEC.encode(image, 95)[:end])


def content(data: bytes) -> Make:
    return lambda path: _write(path, data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def png(width: int, height: int, pixels: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**10)


def nothing(path: Path) -> None:
    pass


WHOLE = ("--whole",)

PICTURES: dict[str, tuple[Make, tuple[str, ...], str, str]] = {
    "a text file": (content(b"hello, I am a picture"), WHOLE, "unreadable", "not a picture"),
    "a program": (content(b"\x7fELF" + bytes(500)), WHOLE, "unreadable", "not a picture"),
    "no bytes": (content(b""), WHOLE, "unreadable", "not a picture"),
    "a cut JPEG": (jpeg(person(160), end=2000), WHOLE, "unreadable", "damaged or cut short"),
    "the start of a JPEG": (content(b"\xff\xd8\xff\xe0"), WHOLE, "unreadable", "damaged or cut short"),
    "a damaged PNG": (
        content(png(4, 4, bytes(52)).replace(b"IDAT", b"IDAX")), WHOLE, "unreadable", "damaged or cut short",
    ),
    "3.6 gigapixels declared": (content(png(60_000, 60_000, b"")), WHOLE, "unreadable", "declares 60000x60000"),
    "10 GB": (sparse, WHOLE, "unreadable", "more than 64 MB"),
    "missing": (nothing, WHOLE, "unreadable", "no such file"),
    "a folder": (Path.mkdir, WHOLE, "unreadable", "not a file"),
    "a pipe that nobody writes": (os.mkfifo, WHOLE, "unreadable", "not a file"),
    "one pixel": (content(png(1, 1, bytes(4))), WHOLE, "too_small", "1x1 px; 40 px"),
    "one pixel, no --whole": (content(png(1, 1, bytes(4))), (), "too_small", "1x1 px; 40 px"),
    "39 px": (jpeg(person(39)), WHOLE, "too_small", "19x39 px; 40 px"),
    "a sliver": (jpeg(person(400)[:, :4]), WHOLE, "too_small", "4x400 px"),
    "a small box": (jpeg(person(160)), ("--box", "10,10,60,30"), "too_small", "50x20 px"),
    "somebody far away": (jpeg(scene(person(30))), (), "too_small", "40 px of height"),
    "blurred": (jpeg(blurred(person(160), 0.04)), WHOLE, "blurred", "give a picture in focus"),
    "black": (jpeg(np.zeros((160, 80, 3), np.uint8)), WHOLE, "blurred", "sharpness 0.00"),
    "blurred in a scene": (jpeg(scene(blurred(person(160), 0.04))), (), "blurred", "sharpness"),
    "an empty hall": (jpeg(scene()), (), "no_person", "--whole where the picture is one person"),
    "two people": (jpeg(scene(person(160), person(160, BLUE))), (), "several_people", "2 people. say which one: --box"),
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    drawn_detector(monkeypatch)
    return Desk(tmp_path, capsys)


def assert_nobody(desk: Desk) -> None:
    assert desk.json("list") == {"version": 0, "identities": []}


@pytest.mark.parametrize("case", PICTURES)
def test_a_wrong_picture_is_refused_with_its_reason(desk: Desk, case: str) -> None:
    make, options, reason, message = PICTURES[case]
    path = desk.folder / "picture.jpg"
    make(path)

    code, out, err = desk.run("add", "--id", "p1", "--image", str(path), *options, "--json")

    assert code == 3
    answer = json.loads(out)
    assert (answer["id"], answer["enrolled"]) == ("p1", 0)
    (refused,) = answer["refused"]
    assert (refused["image"], refused["reason"]) == (str(path), reason)
    assert err.startswith(f"{path}: {reason}: ")
    assert message in err
    assert err.count("\n") == 1
    assert_nobody(desk)


def test_several_people_come_with_boxes(desk: Desk) -> None:
    path = desk.picture("two.jpg", scene(person(160), person(160, BLUE)))
    _, out, _ = desk.run("add", "--id", "p1", "--image", path, "--json")
    boxes = json.loads(out)["refused"][0]["boxes"]
    np.testing.assert_allclose(boxes, [[20, 20, 100, 180], [120, 20, 200, 180]], atol=4)


OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "three numbers": (("--box", "1,2,3"), "--box '1,2,3' is not X1,Y1,X2,Y2"),
    "words": (("--box", "a,b,c,d"), "is not X1,Y1,X2,Y2"),
    "right of itself": (("--box", "50,10,20,90"), "is empty"),
    "no area": (("--box", "5,5,5,5"), "is empty"),
    "not a number": (("--box", "nan,0,50,90"), "is empty"),
    "endless": (("--box", "0,0,inf,90"), "is empty"),
    "outside": (("--box", "500,0,600,90"), "--box 500,0,600,90 lies outside the picture of 80x160 px"),
    "whole and box": (("--whole", "--box", "0,0,50,90"), "--whole and --box contradict each other"),
    "a box for two": (("--image", "x.jpg", "--box", "0,0,50,90"), "one --box cannot fit 2 pictures"),
    "an id with a space": (("--id", "p 1", "--whole"), "'p 1' cannot be the id of an identity"),
    "an id that climbs": (("--id", "../p1", "--whole"), "cannot be the id"),
    "an id too long": (("--id", "x" * 64, "--whole"), "1 to 63 letters"),
    "an empty id": (("--id", "", "--whole"), "cannot be the id"),
    "no such day": (
        ("--valid-until", "2026-02-30", "--whole"),
        "'2026-02-30' is not a time. write 2026-12-31",
    ),
    "a wish": (("--valid-until", "tomorrow", "--whole"), "'tomorrow' is not a time"),
    "an unknown option": (("--hole",), "No such option"),
    "another config": (("-c", "nowhere.yaml", "--whole"), "there is no file nowhere.yaml"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option_ends_with_2(desk: Desk, case: str) -> None:
    options, message = OPTIONS[case]
    path = desk.picture("good.jpg", person(160))
    code, out, err = desk.run("add", "--id", "p1", "--image", path, *options)
    assert (code, out) == (2, "")
    assert err.startswith("musewatch: ")
    assert message in err
    assert_nobody(desk)


@pytest.mark.parametrize(("given", "missing"), [("--id", "--image"), ("--image", "--id")])
def test_a_missing_option_is_named(desk: Desk, given: str, missing: str) -> None:
    code, _, err = desk.run("add", given, "p1")
    assert code == 2
    assert missing in err


def test_an_engine_that_was_changed_enrols_nobody(desk: Desk) -> None:
    engine = desk.folder / "engine" / "tiny.onnx"
    engine.write_bytes(engine.read_bytes() + b"\0")
    code, _, err = desk.run("add", "--id", "p1", "--whole", "--image", desk.picture("a.jpg", person(160)))
    assert code == 2
    assert "tiny" in err
    assert "sha256" in err
    assert_nobody(desk)
