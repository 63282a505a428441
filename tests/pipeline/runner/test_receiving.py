"""A member's deliveries: nothing is committed before it is stored, whatever fails in between."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import OutboxConfig
from pipeline.deliver.events import encode
from pipeline.deliver.outbox import Outbox
from pipeline.deliver.tracklets import to_message
from pipeline.errors import OutboxError, OutsideError
from pipeline.identify.calibration import Cuts
from pipeline.identify.decide import CoolDown
from pipeline.identify.hits import Answer, HitBook, Report
from pipeline.identify.shortlist import Matcher
from pipeline.identify.stage import IdentifyStage
from pipeline.messages import EndReason, TrackKey, Tracklet
from pipeline.plugged import PluggedEmbedder, PluggedVerifier
from pipeline.runner.back import Identifier
from pipeline.runner.delivery import Delivery, EvidenceRoom
from pipeline.runner.positions import Positions
from pipeline.runner.receiving import Expected, Receiving
from pipeline.runner.telemetry import Telemetry
from pipeline.store.pictures import EvidenceStore
from pipeline.testing import FakeCodec, FakeEmbedder, ListBus, tracklet
from pipeline.watchlist.follower import WatchlistFollower
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from plugins.verifier_distance import DistanceVerifier
from tests.support.evidence import evidence as of_hits
from tests.support.evidence import exact
from tests.support.pictures import person

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CUTS = Cuts(0.2)
CODEC, EMBEDDER = FakeCodec(), PluggedEmbedder.of(FakeEmbedder())
ENDED = EndReason.TRACK_ENDED
UNLUCKY = 13


class Book(HitBook):
    """Fails at one track."""

    def record(self, answer: Answer) -> list[Report]:
        if answer.tracklet.key.track_id == UNLUCKY:
            raise ValueError("cannot be recorded")
        return super().record(answer)


class Desk:
    """One member after another on one bus, everything real but bus, codec and embedder."""

    def __init__(self, folder: Path) -> None:
        self.bus = ListBus()
        self.store = WatchlistStore.in_folder(folder)
        self.store.add(Identity("anna", None, None, None, NOW), [NewPicture(CODEC.encode(person()), NOW)])
        self.reported: list[Mapping[str, Any]] = []
        self._folder = folder
        self._members = 0
        self.take_over()

    def take_over(self, cooldown_s: float = 0.0, recent: bool = True, **verify: float) -> None:
        """Another member, with an outbox of its own."""
        self.bus.leave()
        if self._members:
            self.close()
        self._members += 1
        folder = self._folder / f"member-{self._members}"
        self.outbox: Outbox = Outbox(folder / "outbox.db", ["kafka"])
        self.telemetry = Telemetry(dict)
        evidence = EvidenceStore(folder / "evidence", None, max_mb=1, max_age_days=1)
        delivery = Delivery(self.outbox, {}, OutboxConfig(), EvidenceRoom(evidence), self.telemetry)
        stage = IdentifyStage(
            Matcher(exact(), 40, CUTS),
            PluggedVerifier.of(DistanceVerifier(DistanceVerifier.Config())),
            Book("hall", CoolDown(cooldown_s)), of_hits(folder), cuts=CUTS, margin=0.05,
        )  # fmt: skip
        follower = WatchlistFollower(self.store, EMBEDDER, CODEC)
        identifier = Identifier("hall", stage, follower, delivery, self.telemetry)
        identifier.follow()
        self.member = Receiving(
            self.bus, CODEC, Expected("hall", EMBEDDER.digest, EMBEDDER.dimension, 60.0), stage,
            identifier, delivery, Positions(verify.get("forget_s", 900.0)),
            (lambda age_s: self.reported) if recent else None, cooldown_s, self.telemetry,
        )  # fmt: skip

    def close(self) -> None:
        """Gives the member's outbox back."""
        self.outbox.close()

    def say(
        self, track: int, number: int = 1, end: EndReason | None = None, age_s: float = 0, **more: Any
    ) -> None:
        """A tracklet of anna arrives on the topic."""
        asked_at = datetime.now(UTC) - timedelta(seconds=age_s)
        tracklet = sighting(TrackKey("door", more.get("epoch", "e1"), track), number, end)
        message = to_message(tracklet, site="hall", engine=EMBEDDER.digest, asked_at=asked_at, codec=CODEC)
        self.bus.publish([message])

    def told(self) -> list[str]:
        """What is in the outbox: track, state, reason."""
        rows = [row.event["data"] for row in self.outbox.take("kafka", 1000)]
        return [" ".join(filter(None, [str(d["track_id"]), d["state"], d["reason"]])) for d in rows]

    def report(self) -> None:
        """The sink has taken everything so far."""
        rows = self.outbox.take("kafka", 1000)
        self.reported += [row.event for row in rows]
        self.outbox.done("kafka", [row.seq for row in rows])


def sighting(key: TrackKey, number: int, end: EndReason | None) -> Tracklet:
    (vector,) = EMBEDDER.embed([person()])
    return tracklet(key, number, embedding=tuple(vector), decided_pts_s=1.0 + number, end=end)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()
    made.store.close()


def test_offsets_move_with_the_tracks_ends_once_the_outbox_holds_what_came_of_them(desk: Desk) -> None:
    desk.say(1)
    desk.say(2)
    desk.say(1, 2, ENDED)
    assert desk.member.step(0.0)
    assert desk.told() == ["1 opened", "2 opened", "1 closed track_ended"]
    assert desk.member.to_commit() == {0: 1}


def test_while_the_outbox_takes_nothing_nothing_is_committed_and_nothing_more_received(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(events: object) -> None:
        raise OutboxError("the disk is full")

    desk.say(1, end=ENDED)
    with monkeypatch.context() as broken:
        broken.setattr(desk.outbox, "append", full)
        assert not desk.member.step(0.0)
        desk.say(2, end=ENDED)
        assert not desk.member.step(0.0)
        assert desk.member.to_commit() == {}
        assert desk.bus.lag() == {0: 1}
    assert desk.member.step(0.0)
    assert desk.told() == ["1 opened", "1 closed track_ended", "2 opened", "2 closed track_ended"]
    assert desk.member.to_commit() == {0: 2}


def test_a_dead_letter_that_cannot_be_put_aside_is_tried_again_and_holds_the_offset(desk: Desk) -> None:
    desk.say(1, end=ENDED)
    desk.bus.put(b"garbage")
    desk.say(2, end=ENDED)
    desk.bus.down = 2
    for _ in range(2):
        with pytest.raises(OutsideError, match="dead letters"):
            desk.member.step(0.0)
        assert desk.member.to_commit() == {}
    assert desk.member.step(0.0)
    assert [message.value for message, _ in desk.bus.refused] == [b"garbage"]
    assert desk.told() == ["1 opened", "1 closed track_ended", "2 opened", "2 closed track_ended"]
    assert desk.member.to_commit() == {0: 3}


def test_a_tracklet_that_fails_later_takes_nobody_with_it(desk: Desk) -> None:
    for track in (1, UNLUCKY, 2):
        desk.say(track)
        desk.say(track, 2, None if track == UNLUCKY else ENDED)
    assert desk.member.step(0.0)
    assert desk.told() == ["1 opened", "1 closed track_ended", "2 opened", "2 closed track_ended"]
    assert [(message.offset, reason) for message, reason in desk.bus.refused] == [
        (2, "ValueError: cannot be recorded"),
        (3, "ValueError: cannot be recorded"),
    ]
    assert desk.member.to_commit() == {0: 6}


def test_numbers_beyond_reckoning_go_to_the_dead_letters(desk: Desk) -> None:
    desk.say(1)
    poisoned = json.loads(desk.bus.log[-1].value or b"")
    poisoned["data"]["decided_pts_s"] = 1e300
    desk.bus.put(encode(poisoned))
    desk.say(1, 2, ENDED)
    assert desk.member.step(0.0)
    assert desk.told() == ["1 opened", "1 closed track_ended"]
    ((message, reason),) = desk.bus.refused
    assert message.offset == 1
    assert "data.decided_pts_s" in reason
    assert desk.member.to_commit() == {0: 3}


def test_a_report_beyond_reckoning_is_passed_over(desk: Desk) -> None:
    desk.say(1)
    desk.member.step(0.0)
    desk.report()
    data = {**desk.reported[0]["data"], "decided_pts_s": 1e300, "captured_at": "9999-12-31T23:59:59.999Z"}
    desk.reported.append({**desk.reported[0], "data": {**data, "revision": 2}})
    desk.take_over()
    desk.say(1, 2, ENDED)
    assert desk.member.step(0.0)
    assert desk.told() == ["1 closed track_ended"]


def test_repeats_on_the_topic_change_nothing(desk: Desk) -> None:
    for _ in range(2):
        desk.say(1)
        desk.say(1, 2, ENDED)
    desk.member.step(0.0)
    assert desk.told() == ["1 opened", "1 closed track_ended"]


def test_a_successor_without_reports_says_the_same_again_byte_for_byte(desk: Desk) -> None:
    desk.say(1)
    desk.say(2)
    desk.member.step(0.0)
    before = [row.event for row in desk.outbox.take("kafka", 10)]
    desk.bus.commit(desk.member.to_commit())
    desk.take_over(recent=False)
    desk.member.step(0.0)
    assert [row.event for row in desk.outbox.take("kafka", 10)] == before


def test_a_successor_goes_on_from_what_was_reported(desk: Desk) -> None:
    desk.say(1)
    desk.say(2)
    desk.say(2, 2, ENDED)
    desk.member.step(0.0)
    desk.report()
    desk.bus.commit(desk.member.to_commit())
    assert desk.bus.committed == {0: 0}
    desk.take_over()
    desk.say(1, 2, ENDED)
    desk.member.step(0.0)
    assert desk.told() == ["1 closed track_ended"], "2 is over, 1 is not opened again"
    assert desk.member.to_commit() == {0: 4}


def test_a_successor_keeps_to_the_cool_down(desk: Desk) -> None:
    desk.take_over(cooldown_s=30)
    desk.say(1, end=ENDED)
    desk.member.step(0.0)
    desk.report()
    desk.bus.commit(desk.member.to_commit())
    desk.take_over(cooldown_s=30)
    desk.say(2, 3)
    desk.member.step(0.0)
    assert desk.told() == []


def test_a_partition_lost_is_left_as_it_is(desk: Desk) -> None:
    """Nothing is closed by a member that only stops having the track."""
    desk.say(1)
    desk.member.step(0.0)
    desk.bus.leave()
    desk.member.step(0.0)
    assert desk.told() == ["1 opened"]


def test_a_newer_epoch_closes_what_the_older_left_open(desk: Desk) -> None:
    desk.say(1)
    desk.say(1, epoch="e2")
    desk.member.step(0.0)
    assert desk.told() == ["1 opened", "1 closed interrupted", "1 opened"]


def test_a_track_of_which_no_word_comes_is_closed_and_holds_nothing(desk: Desk) -> None:
    desk.take_over(forget_s=0.0)
    desk.say(1)
    desk.member.step(0.0)
    assert desk.told() == ["1 opened", "1 closed interrupted"]
    assert desk.member.to_commit() == {0: 1}


def test_late_ones_are_asked_and_marked(desk: Desk) -> None:
    desk.say(1, age_s=120)
    desk.say(2, age_s=5)
    desk.member.step(0.0)
    marks = [row.event["data"]["decision"]["degraded"] for row in desk.outbox.take("kafka", 10)]
    assert marks == [["late"], []]


def test_a_track_whose_hit_was_taken_back_goes_on_elsewhere_without_it(desk: Desk) -> None:
    desk.say(1)
    desk.member.step(0.0)
    desk.report()
    opened = desk.reported.pop()
    data = {**opened["data"], "state": "retracted", "reason": "identity_changed", "revision": 2_000_002}
    desk.reported.append({**opened, "type": "musewatch.hit.retracted", "data": data})
    desk.take_over(cooldown_s=30)
    desk.say(1, 3)
    desk.say(2)
    desk.say(1, 4, ENDED)
    desk.member.step(0.0)
    assert desk.told() == ["2 opened"], "nobody waits for what was wrong"
    assert desk.member.to_commit() == {0: 2}


def test_a_hit_that_went_on_with_another_track_is_opened_by_neither_elsewhere(desk: Desk) -> None:
    desk.say(1)
    desk.member.step(0.0)
    desk.report()
    opened = desk.reported.pop()
    data = {**opened["data"], "state": "updated", "revision": 10_001, "track_id": 2, "continued_from": 1}
    desk.reported.append({**opened, "type": "musewatch.hit.updated", "data": data})
    desk.take_over(cooldown_s=0)
    desk.say(1)
    desk.say(1, 2, ENDED)
    desk.say(2, 2)
    desk.say(2, 3, ENDED)
    desk.member.step(0.0)
    assert desk.told() == ["2 closed track_ended"]


def test_foreign_hits_among_the_reports_are_passed_over(desk: Desk) -> None:
    desk.reported = [{"type": "musewatch.test", "data": {}}, {}]
    desk.say(1)
    desk.member.step(0.0)
    assert desk.told() == ["1 opened"]
