"""The stages without threads give the hits of a threaded run, byte for byte."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.deliver.events import to_event
from pipeline.messages import EndReason, Frame, Hit, HitState, Seen, StreamEnd
from pipeline.runner.runner import Runner
from tests.pipeline.runner.rig import Rig, clip, inline, play, plug_in
from tests.support.pictures import BLUE, GREEN, RED


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    return Rig(tmp_path)


def replay(rig: Rig, items: Sequence[Frame | StreamEnd]) -> tuple[list[Seen], list[Hit]]:
    with ExitStack() as opened:
        loop = inline(rig.config("door"), opened)
        seen, hits = list[Seen](), list[Hit]()
        for item in items:
            if isinstance(item, StreamEnd):
                hits += loop.end(item.stream_id, item.reason)
            else:
                who, told = loop.push(item)
                seen.append(who)
                hits += told
        return seen, [*hits, *loop.finish()]


def test_both_runners_give_the_same_events(rig: Rig) -> None:
    rig.enrol("anna", RED)
    rig.enrol("luca", BLUE)
    play("door", clip(40, RED, GREEN))
    Runner(rig.config("door")).run()
    seen, hits = replay(rig, clip(40, RED, GREEN, stream_id="door"))
    assert rig.story == [("door", "anna", "opened"), ("door", "anna", "closed")]
    assert [to_event(hit, "site") for hit in hits] == rig.events
    assert [one.frame.index for one in seen] == list(range(40))
    assert {int(id_) for one in seen for id_ in one.track_ids} == {1, 2}
    assert {hit.track_id for hit in hits} < {1, 2}


def test_a_frame_that_a_stage_cannot_deal_with_shows_nobody(rig: Rig) -> None:
    with ExitStack() as opened:
        errors: list[str] = []
        config = rig.config("door", detector={"use": "blind"})
        loop = inline(config, opened, lambda _, error: errors.append(str(error)))
        (frame,) = clip(1, RED, stream_id="door")
        seen, hits = loop.push(frame)
    assert (seen.frame, len(seen.detections), seen.track_ids.shape, hits) == (frame, 0, (0,), [])
    assert errors == ["the lens is covered"]


def test_a_stream_ends_where_it_is_told_to(rig: Rig) -> None:
    rig.enrol("anna", RED)
    frames = clip(20, RED, stream_id="door")
    again = [replace(frame, epoch="e2") for frame in frames]
    _, hits = replay(rig, [*frames, StreamEnd("door", EndReason.STREAM_LOST), *again])
    ends = [(hit.epoch, hit.reason) for hit in hits if hit.state is HitState.CLOSED]
    assert ends[0] == ("e1", EndReason.STREAM_LOST)
