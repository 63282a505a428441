"""The life of a hit."""

from collections.abc import Sequence

import pytest

from pipeline.deliver.events import LAST_REVISION, encode, to_event
from pipeline.identify.decide import Accepted, CoolDown
from pipeline.identify.hits import Answer, HitBook, hit_id
from pipeline.messages import (
    Candidate,
    EndReason,
    Hit,
    HitBest,
    HitIdentity,
    HitState,
    TrackKey,
    Tracklet,
    Verdict,
)
from pipeline.testing import tracklet


def show(of: Tracklet) -> HitBest:
    return HitBest(of.best.pts_s, of.scene.size, of.best.box, None, None, None)


def book(cooldown_s: float = 30.0) -> HitBook:
    return HitBook("hall", 0.85, CoolDown(cooldown_s), show)


def found(of: Tracklet, identity: str = "anna", distance: float = 0.5) -> Answer:
    verdict = Verdict(Candidate(identity, 1, distance, 1), fused=distance)
    return Answer(of, Accepted(verdict, None), HitIdentity(identity, None, 1), "test")


def found_by_text(of: Tracklet, identity: str, distance: float) -> Answer:
    """At a raw distance of 0.4 more, which the cut of texts allows."""
    verdict = Verdict(Candidate(identity, 1, distance, 1, allowance=0.4), fused=distance)
    return Answer(of, Accepted(verdict, None), HitIdentity(identity, None, 1), "test")


def nobody(of: Tracklet) -> Answer:
    return Answer(of, None, None, None)


def told(hits: Sequence[Hit]) -> list[tuple[str, int, str | None]]:
    return [(str(hit.state), hit.revision, hit.reason and str(hit.reason)) for hit in hits]


def test_a_hit_is_opened_updated_while_evidence_improves_and_closed_with_its_track() -> None:
    b = book()
    assert told(b.record(nobody(tracklet(number=1)))) == []
    assert told(b.record(found(tracklet(number=2)))) == [("opened", 1, None)]
    # Nothing new to say: same crop, same distance.
    assert told(b.record(found(tracklet(number=3)))) == []
    # A better crop; then a nearer distance.
    assert told(b.record(found(tracklet(number=4, best_pts_s=1.5)))) == [("updated", 4, None)]
    nearer = found(tracklet(number=5, best_pts_s=1.5), distance=0.4)
    assert told(b.record(nearer)) == [("updated", 5, None)]
    # Doubt does not close it.
    assert told(b.record(nobody(tracklet(number=6)))) == []
    last = b.record(nobody(tracklet(number=7, end=EndReason.TRACK_ENDED)))
    assert told(last) == [("closed", 8, "track_ended")]
    assert len(b) == 0


def test_a_hit_by_a_text_shows_the_distance_and_the_cut_of_texts() -> None:
    (hit,) = book().record(found_by_text(tracklet(), "anna", 0.5))
    assert hit.decision.distance == pytest.approx(0.9)
    assert hit.decision.max_distance == pytest.approx(1.25)


def test_hits_by_texts_and_by_pictures_are_compared_by_what_is_left_to_their_cuts() -> None:
    b = book()
    assert told(b.record(found_by_text(tracklet(number=1), "anna", 0.5))) == [("opened", 1, None)]
    assert told(b.record(found(tracklet(number=2), "luca", 0.6))) == [], "farther, though 0.6 < 0.9"
    assert told(b.record(found(tracklet(number=3), "anna", 0.6))) == [], "not nearer, though 0.6 < 0.9"
    assert told(b.record(found(tracklet(number=4), "anna", 0.4))) == [("updated", 4, None)]
    assert told(b.record(found_by_text(tracklet(number=5), "luca", 0.3))) == [("opened", 1, None)]


def test_the_last_question_may_open_and_close_at_once() -> None:
    hits = book().record(found(tracklet(number=1, end=EndReason.TRACK_ENDED)))
    assert told(hits) == [("opened", 1, None), ("closed", 2, "track_ended")]


def test_the_last_question_brings_its_better_evidence_into_the_close() -> None:
    b = book()
    b.record(found(tracklet(number=1)))
    end = tracklet(number=2, best_pts_s=1.7, end=EndReason.TRACK_ENDED)
    (closed,) = b.record(found(end, distance=0.3))
    assert (closed.state, closed.best.pts_s, closed.decision.distance) == (HitState.CLOSED, 1.7, 0.3)


@pytest.mark.parametrize("reason", [EndReason.STREAM_LOST, EndReason.STOPPED])
def test_a_close_that_does_not_follow_from_the_stream_has_a_revision_of_its_own(reason: EndReason) -> None:
    b = book()
    b.record(found(tracklet(number=1)))
    (closed,) = b.record(nobody(tracklet(number=2, end=reason)))
    assert closed.revision > LAST_REVISION
    assert closed.reason is reason


def test_one_hit_at_most_per_track_and_identity_and_a_second_identity_must_be_nearer() -> None:
    b = book()
    b.record(found(tracklet(number=1), "anna", 0.5))
    assert b.record(found(tracklet(number=2), "luca", 0.6)) == []
    (other,) = b.record(found(tracklet(number=3), "luca", 0.4))
    assert (other.identity.id, other.state) == ("luca", HitState.OPENED)
    closed = b.record(nobody(tracklet(number=4, end=EndReason.TRACK_ENDED)))
    assert sorted(hit.identity.id for hit in closed) == ["anna", "luca"]


def test_the_cool_down_counts_on_the_clock_of_the_stream() -> None:
    b = book(cooldown_s=30)
    first, second = TrackKey("door", "e1", 1), TrackKey("door", "e1", 2)
    assert b.record(found(tracklet(first, decided_pts_s=10.0)))
    assert not b.record(found(tracklet(second, decided_pts_s=39.0)))
    assert b.record(found(tracklet(second, 2, decided_pts_s=41.0)))
    assert b.record(found(tracklet(TrackKey("yard", "e1", 1), decided_pts_s=11.0)))


def test_a_question_asked_twice_never_gives_one_id_two_payloads() -> None:
    b = book()
    seen: dict[str, bytes] = {}
    questions = [tracklet(number=n, best_pts_s=n / 10) for n in (1, 1, 2, 2, 3)]
    for place, question in enumerate(questions):
        for hit in b.record(found(question, distance=0.6 - 0.05 * place)):
            event = to_event(hit, "hall")
            assert seen.setdefault(event["id"], encode(event)) == encode(event)
    assert len(seen) == 3


def test_ids_depend_on_where_and_who_alone() -> None:
    key = TrackKey("door", "e1", 7)
    assert hit_id("hall", key, "anna") == hit_id("hall", key, "anna")
    others = {
        hit_id("hall", key, "luca"),
        hit_id("yard", key, "anna"),
        hit_id("hall", key._replace(track_id=8), "anna"),
        hit_id("hall", key._replace(epoch="e2"), "anna"),
        hit_id("hall", key._replace(stream_id="gate"), "anna"),
    }
    assert len(others | {hit_id("hall", key, "anna")}) == 6
