"""A full outbox of tracklets: pictures go, the oldest first; nobody's vector does."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import OutboxConfig
from pipeline.deliver.events import encode
from pipeline.deliver.outbox import Outbox
from pipeline.deliver.tracklets import Slimming, from_message, to_message
from pipeline.errors import OutboxFullError
from pipeline.messages import Scene, TrackKey, Tracklet
from pipeline.runner.delivery import Delivery
from pipeline.runner.telemetry import Telemetry
from pipeline.testing import FakeCodec, tracklet

CODEC = FakeCodec()
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def sighting(track: int) -> Tracklet:
    """With a scene of 36 kB and three crops."""
    plain = tracklet(TrackKey("door", "e1", track))
    scene = Scene(CODEC.encode(np.full((100, 120, 3), track, np.uint8)), (120, 100))
    return replace(plain, scene=scene, crops=plain.crops * 3)


def message(track: int) -> dict[str, object]:
    return to_message(sighting(track), site="hall", engine="sha256:fake", asked_at=NOW, codec=CODEC)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox.db", ("bus",), max_mb=1.0)
    yield outbox
    outbox.close()


def test_the_oldest_lose_pictures_and_no_tracklet_is_lost(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    slimming = Slimming(outbox, CODEC)
    delivery = Delivery(outbox, {}, OutboxConfig(), slimming, Telemetry(dict), "tracklets")
    for track in range(60):  # 3 MB as they are
        delivery.add([message(track)])
        assert delivery.store()
    assert outbox.size_bytes() <= 1e6
    arrived = [from_message(encode(row.event), CODEC).tracklet for row in outbox.take("bus", 100)]
    assert [one.key.track_id for one in arrived] == list(range(60))
    light = [len(one.crops) == 1 for one in arrived]
    assert light == sorted(light, reverse=True), "the oldest first"
    assert 0 < slimming.lightened == sum(light) < 60
    for one in arrived:
        assert np.allclose(one.embedding, sighting(0).embedding, atol=1e-3)
        assert one.scene.size == (120, 100)
        assert CODEC.decode(one.scene.jpeg).shape == ((25, 30, 3) if len(one.crops) == 1 else (100, 120, 3))
    assert caplog.text.count("the outbox is full") == 1


def test_with_nothing_left_to_lighten_they_are_held_and_what_waits_stays(outbox: Outbox) -> None:
    slimming = Slimming(outbox, CODEC)
    delivery = Delivery(outbox, {}, OutboxConfig(), slimming, Telemetry(dict), "tracklets")
    track = 0
    while delivery.held is None:
        delivery.add([message(track)])
        delivery.store()
        track += 1
    waiting = outbox.waiting()
    assert waiting == track - 1
    assert not slimming.make_room()
    with pytest.raises(OutboxFullError):
        outbox.append([message(track)])
    outbox.done("bus", [row.seq for row in outbox.take("bus", waiting)])
    assert delivery.store()
    assert outbox.waiting() == 1


def test_of_a_narrow_scene_a_pixel_stays(outbox: Outbox) -> None:
    narrow = Scene(CODEC.encode(np.zeros((200, 3, 3), np.uint8)), (3, 200))
    light = replace(sighting(1), scene=narrow)
    outbox.append([to_message(light, site="hall", engine="sha256:fake", asked_at=NOW, codec=CODEC)])
    assert Slimming(outbox, CODEC).make_room()
    scene = from_message(encode(outbox.take("bus", 1)[0].event), CODEC).tracklet.scene
    assert CODEC.decode(scene.jpeg).shape == (50, 1, 3)


def test_what_was_lightened_before_a_restart_is_passed_over(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.append([message(track) for track in range(3)])
    first = Slimming(outbox, CODEC)
    assert first.make_room()
    assert first.lightened == 3
    before = outbox.after(0, 9)
    second = Slimming(outbox, CODEC)
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        assert not second.make_room()
    assert (outbox.after(0, 9), second.lightened, caplog.records) == (before, 0, [])
