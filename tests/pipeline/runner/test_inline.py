"""The stages without threads give the hits of a threaded run, byte for byte."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline import build
from pipeline.deliver.events import to_event
from pipeline.messages import EndReason, Frame, Hit, HitState, StreamEnd
from pipeline.runner.inline import Inline, InlineFront
from pipeline.runner.runner import Runner
from tests.pictures import BLUE, GREEN, RED
from tests.pipeline.runner.rig import Rig, clip, play, plug_in


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    return Rig(tmp_path)


def fail(stream_id: str, error: Exception) -> None:
    raise error


def inline(rig: Rig, items: Sequence[Frame | StreamEnd]) -> list[Hit]:
    config = rig.config("door")
    with ExitStack() as opened:
        guests = build.guests(config)
        detector = build.open_detector(config, opened, guests)
        looks = build.open_looks(config, opened, guests)
        judges = build.open_judges(config, opened, guests)
        identify = build.identify_stage(config, looks, judges, time.time)
        snapshot = build.follower(looks, judges).refresh(datetime.now(UTC))
        assert snapshot is not None
        identify.use(snapshot)
        loop = Inline(InlineFront(*build.front_stages(config, detector, looks, fail)), identify)
        hits: list[Hit] = []
        for item in items:
            if isinstance(item, StreamEnd):
                hits += loop.end(item.stream_id, item.reason)
            else:
                hits += loop.push(item)[1]
        return [*hits, *loop.finish()]


def test_both_runners_give_the_same_events(rig: Rig) -> None:
    rig.enrol("anna", RED)
    rig.enrol("luca", BLUE)
    play("door", clip(40, RED, GREEN))
    Runner(rig.config("door")).run()
    hits = inline(rig, clip(40, RED, GREEN, stream_id="door"))
    assert rig.story == [("door", "anna", "opened"), ("door", "anna", "closed")]
    assert [to_event(hit, "site") for hit in hits] == rig.events


def test_a_stream_ends_where_it_is_told_to(rig: Rig) -> None:
    rig.enrol("anna", RED)
    frames = clip(20, RED, stream_id="door")
    again = [replace(frame, epoch="e2") for frame in frames]
    hits = inline(rig, [*frames, StreamEnd("door", EndReason.STREAM_LOST), *again])
    ends = [(hit.epoch, hit.reason) for hit in hits if hit.state is HitState.CLOSED]
    assert ends[0] == ("e1", EndReason.STREAM_LOST)
