"""Tracklets as messages: there and back, within bounds, and what is refused."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import numpy as np
import pytest

from pipeline.deliver.events import encode
from pipeline.deliver.tracklets import (
    MAX_BYTES,
    _bytes,
    from_message,
    message_id,
    to_message,
    tracklet_schema,
)
from pipeline.errors import InputError
from pipeline.messages import Crop, EndReason, Scene, TrackKey, Tracklet
from pipeline.testing import UNDATED, FakeCodec
from plugins.codec_opencv import OpenCVCodec
from tests.tree import ROOT

NOW = datetime(2026, 11, 21, 7, 0, 0, 120_000, tzinfo=UTC)
CODEC = OpenCVCodec(OpenCVCodec.Config())
RNG = np.random.default_rng(7)
SCHEMA_FILE = ROOT / "configs" / "schemas" / "tracklet-1.json"


def unit(*values: float) -> Any:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def noise(height: int, width: int) -> Any:
    """A picture that JPEG can do nothing with."""
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def crop(height: int = 40, quality: float = 0.5) -> Crop:
    return Crop(noise(height, height // 2), (1.25, 2.0, 5.0, 10.0), 1.04, UNDATED, quality, unit(0.3, 0.7))


def tracklet(crops: int = 2, height: int = 40, scene: tuple[int, int] = (48, 64), **more: Any) -> Tracklet:
    made = Tracklet(
        key=TrackKey("door", "e1", 7),
        number=3,
        crops=tuple(crop(height, 0.9 - 0.1 * i) for i in range(crops)),
        scene=Scene(CODEC.encode(noise(*scene), 80), (scene[1], scene[0])),
        embedding=unit(1.0, 2.0),
        first_pts_s=0.1,
        last_pts_s=2.0,
        decided_pts_s=2.0,
        clock=more.pop("clock", "file"),
        engines={"detector": None, "embedder": "sha256:e"},
    )
    return replace(made, **more)


def sent(of: Tracklet, codec: Any = CODEC) -> dict[str, Any]:
    return to_message(of, site="hall", engine="sha256:e", asked_at=NOW, codec=codec)


def test_what_arrives_is_what_was_sent() -> None:
    before = tracklet(end=EndReason.STREAM_LOST, lost=(3, 1))
    lossless = FakeCodec()
    before = replace(before, scene=Scene(lossless.encode(noise(48, 64)), (64, 48)))
    arrival = from_message(encode(sent(before, lossless)), lossless)
    after = arrival.tracklet
    assert (arrival.engine, arrival.site, arrival.asked_at) == ("sha256:e", "hall", NOW)
    plain = (
        "key",
        "number",
        "scene",
        "first_pts_s",
        "last_pts_s",
        "decided_pts_s",
        "clock",
        "engines",
        "end",
        "lost",
    )
    assert [getattr(after, name) for name in plain] == [getattr(before, name) for name in plain]
    assert after.embedding.dtype == after.best.embedding.dtype == np.float32
    assert np.linalg.norm(after.embedding) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(after.embedding, before.embedding, atol=1e-3)
    for got, gave in zip(after.crops, before.crops, strict=True):
        np.testing.assert_array_equal(got.image, gave.image)
        assert (got.box, got.pts_s, got.captured_at, got.quality) == (
            gave.box,
            gave.pts_s,
            gave.captured_at,
            gave.quality,
        )
        np.testing.assert_allclose(got.embedding, gave.embedding, atol=1e-3)


def test_the_frames_of_other_sights_go_with_them() -> None:
    lossless = FakeCodec()
    frames = [Scene(lossless.encode(noise(48, 64)), (64, 48)) for _ in range(2)]
    plain = tracklet(3, scene=(48, 64))
    crops = (plain.crops[0], replace(plain.crops[1], scene=frames[1]), plain.crops[2])
    before = replace(plain, crops=crops, scene=frames[0])
    after = from_message(encode(sent(before, lossless)), lossless).tracklet
    assert [crop.scene for crop in after.crops] == [frames[0], frames[1], None]
    shown = after.showing(after.sights[1])
    assert (shown.best.quality, shown.scene, len(shown.crops)) == (0.8, frames[1], 3)
    assert [crop.scene for crop in shown.sights] == [frames[1], frames[0]]


def test_all_frames_shrink_alike_and_a_crop_goes_with_its_own() -> None:
    plain = tracklet(3, 700, (1080, 1920))
    frame = Scene(CODEC.encode(noise(1080, 1920), 80), (1920, 1080))
    before = replace(plain, crops=tuple(replace(crop, scene=frame) for crop in plain.crops))
    event = sent(before)
    assert len(encode(event)) <= MAX_BYTES
    after = from_message(encode(event), CODEC).tracklet
    assert len(after.crops) == 2
    assert [CODEC.decode(crop.scene.jpeg).shape[:2] for crop in after.sights if crop.scene] == [
        (270, 480)
    ] * 2


def test_the_id_follows_from_what_is_asked() -> None:
    one = sent(tracklet())
    assert one["id"] == sent(tracklet(crops=1))["id"] == message_id("hall", TrackKey("door", "e1", 7), 3)
    others = [TrackKey("yard", "e1", 7), TrackKey("door", "e2", 7), TrackKey("door", "e1", 8)]
    ids = {message_id("hall", key, 3) for key in others} | {message_id("x", TrackKey("door", "e1", 7), 3)}
    assert len(ids | {one["id"], sent(tracklet(number=4))["id"]}) == 6
    assert one["partitionkey"] == "door"
    digest = hashlib.sha256(b"hall\0door\0e1\x007").hexdigest()
    assert one["id"] == f"{digest[:32]}-3", (
        "machines of other versions make the same, so that repeats are dropped"
    )


def test_the_schema_is_published_up_to_date_and_holds() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == tracklet_schema(), (
        "musewatch schema tracklet > configs/schemas/tracklet-1.json"
    )
    event = json.loads(encode(sent(tracklet())))
    jsonschema.validate(event, tracklet_schema())
    del event["data"]["embedding"]["engine"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(event, tracklet_schema())


def scene_size(event: dict[str, Any]) -> tuple[int, int]:
    image = CODEC.decode(from_message(encode(event), CODEC).tracklet.scene.jpeg)
    return image.shape[1], image.shape[0]


@pytest.mark.parametrize(
    ("of", "crops", "scene_shrunk"),
    [
        (lambda: tracklet(2, 40, (300, 400)), 2, False),
        (lambda: tracklet(5, 200, (1080, 1920)), 5, True),
        (lambda: tracklet(5, 900, (540, 960)), None, True),  # the scene is not enough: crops go too
    ],
)
def test_the_scene_shrinks_before_a_crop_goes(
    of: Callable[[], Tracklet], crops: int | None, scene_shrunk: bool
) -> None:
    before = of()
    event = sent(before)
    assert len(encode(event)) <= MAX_BYTES
    after = from_message(encode(event), CODEC).tracklet
    assert after.scene.size == before.scene.size
    assert (scene_size(event) != before.scene.size) == scene_shrunk
    if crops is None:
        assert 1 <= len(after.crops) < len(before.crops)
        assert scene_size(event)[0] == before.scene.size[0] // 4, "the scene went as small as it can first"
    else:
        assert len(after.crops) == crops
    qualities = [crop.quality for crop in before.crops]
    assert [crop.quality for crop in after.crops] == qualities[: len(after.crops)], "the worst go"
    assert after.best.image.shape == before.best.image.shape


def test_a_best_crop_that_is_too_large_alone_shrinks_last() -> None:
    before = tracklet(2, 2400)
    after = from_message(encode(sent(before)), CODEC).tracklet
    (best,) = after.crops
    height, width = best.image.shape[:2]
    assert height < 2400
    assert height / width == pytest.approx(2, abs=0.01), "nobody gets broader"
    assert best.box == before.best.box


def changed(path: str, value: Any) -> bytes:
    event = json.loads(encode(sent(tracklet())))
    part = event
    *parents, last = path.split(".")
    for name in parents:
        part = part[int(name)] if isinstance(part, list) else part[name]
    part[int(last) if isinstance(part, list) else last] = value
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "JSON"),
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"{" * 100_000, "JSON"),
        (b"[1]", "not a tracklet"),
        (b'{"id": 1}', "specversion"),
        (changed("dataschema", "urn:musewatch:tracklet:2"), "dataschema"),
        (changed("type", "musewatch.hit.opened"), "type"),
        (changed("data.number", 0), "data.number: Input should be greater than or equal to 1$"),
        (changed("data.crops", []), "data.crops"),
        (changed("data.first_pts_s", float("nan")), "first_pts_s"),
        (changed("data.crops.0.jpeg", "////"), "not a JPEG"),
        (changed("data.crops.0.jpeg", "a b!"), "crop is not base64"),
        (changed("data.scene.jpeg", "a b!"), "the scene is not base64"),
        (changed("data.embedding.float16", "a b!"), "the embedding is not base64"),
        (changed("data.crops.0.float16", "AAAA"), "vector of the crop is cut short"),
        (changed("data.crops.0.captured_at", "2026-01-01T00:00:00"), "captured_at"),
        (changed("data.crops.0.float16", "ADwAAAAA"), "differ in length"),
        (changed("data.embedding.float16", "AAAA"), "cut short"),
        (changed("data.embedding.float16", "AAAAAA=="), "not of unit length"),
        (changed("data.embedding.float16", "AH4AfgB+"), "not of unit length"),  # NaN
        (changed("data.stream_id", "../etc"), "stream_id"),
        (changed("data.decided_pts_s", 1e300), "decided_pts_s"),
        (changed("data.crops.0.pts_s", -1e11), "crops.0.pts_s"),
        (changed("data.crops.0.captured_at", "9999-12-31T23:00:00-12:00"), "captured_at"),
        (changed("time", "0001-01-01T00:00:00Z"), "time"),
        (changed("data.track_id", 10**30), "track_id"),
        (changed("data.number", 2**53), "number"),
        (changed("data.crops.0.box", [0, 0, 1e300, 1]), "box"),
        (changed("data.crops.0.box", [5, 0, 1, 1]), "box"),
        (changed("data.scene.size", [10**9, 1]), "scene.size"),
        (changed("data.epoch", "e" * 201), "epoch"),
        (changed("data.engines", {str(i): "x" for i in range(33)}), "engines"),
        (changed("data.crops.0.jpeg", base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()), "not a JPEG"),
        (changed("data.colour", "r" * MAX_BYTES), "bytes"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(body: bytes | None, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        from_message(body, CODEC)


@pytest.mark.parametrize("text", ["AB==", "AAAA=", "AA-_", "AAA", "AA==AA==", "AA A", "AAA\n", "AAAAé"])
def test_base64_is_what_the_standard_library_takes(text: str) -> None:
    """Whatever decodes it: the fast way must not take more, nor less."""
    try:
        data = binascii.a2b_base64(text.encode(), strict_mode=True)
    except ValueError:
        with pytest.raises(InputError, match="not base64"):
            _bytes(text, "crop")
    else:
        assert _bytes(text, "crop") == data


class NoCodec(FakeCodec):
    def decode(self, data: bytes) -> Any:
        raise AssertionError("unpacked")


def test_pictures_are_counted_before_one_is_unpacked() -> None:
    def header(side: int) -> str:
        return base64.b64encode(FakeCodec().encode(np.zeros((side, side, 3), np.uint8))[:30]).decode()

    crops = [{**json.loads(changed("id", "x"))["data"]["crops"][0], "jpeg": header(2500)} for _ in range(6)]
    with pytest.raises(InputError, match="more than 32000000 pixels"):
        from_message(changed("data.crops", crops), NoCodec())
    with pytest.raises(InputError, match="more than 32000000 pixels"):
        from_message(changed("data.scene.jpeg", header(6000)), NoCodec())


def test_a_jpeg_of_a_thousand_passes_is_refused() -> None:
    data = CODEC.encode(noise(8, 8)) + b"\xff\xda" * 1000
    with pytest.raises(InputError, match="more than 64 passes"):
        from_message(changed("data.scene.jpeg", base64.b64encode(data).decode()), CODEC)
    with pytest.raises(InputError, match="more than 64 passes"):
        CODEC.decode(data)


@pytest.mark.parametrize(("sides", "kept"), [((2400, 2400, 2400), 2), ((5000, 100), 1)])
def test_what_nobody_may_unpack_is_not_sent(sides: tuple[int, ...], kept: int) -> None:
    crops = tuple(
        replace(crop(quality=0.9 - 0.1 * i), image=np.zeros((2 * side, side, 3), np.uint8))
        for i, side in enumerate(sides)
    )
    arrived = from_message(encode(sent(replace(tracklet(), crops=crops))), CODEC).tracklet
    assert len(arrived.crops) == kept
    assert arrived.pixels <= 32_000_000


def test_a_huge_scene_is_sent_smaller() -> None:
    scene = Scene(CODEC.encode(np.zeros((5000, 7000, 3), np.uint8)), (7000, 5000))
    arrived = from_message(encode(sent(replace(tracklet(), scene=scene))), CODEC).tracklet.scene
    assert arrived.size == (7000, 5000)
    height, width = CODEC.decode(arrived.jpeg).shape[:2]
    assert 31_000_000 < height * width <= 32_000_000


def test_fields_of_a_later_minor_version_are_passed_over() -> None:
    body = changed("data.colour", "red")
    assert from_message(body, CODEC).tracklet.number == 3
