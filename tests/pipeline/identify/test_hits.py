"""The life of a hit."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.deliver.events import (
    CONTINUED_REVISIONS,
    LAST_REVISION,
    RETRACTED_REVISION,
    encode,
    to_event,
    to_hit,
)
from pipeline.identify.decide import Accepted, CoolDown
from pipeline.identify.hits import NEARER, UNLIKE_SHARE, Answer, HitBook, hit_id, nobody
from pipeline.messages import (
    Candidate,
    EndReason,
    Hit,
    HitIdentity,
    HitState,
    Mask,
    TrackKey,
    Tracklet,
    Verdict,
)
from pipeline.testing import tracklet

KEY = TrackKey("door", "e1", 1)


class Book:
    """A book whose hits are taken without their pictures."""

    def __init__(self, cooldown_s: float = 30.0) -> None:
        self.book = HitBook("hall", CoolDown(cooldown_s))

    def __len__(self) -> int:
        return len(self.book)

    def record(self, answer: Answer) -> list[Hit]:
        return [report.hit for report in self.book.record(answer)]


def book(cooldown_s: float = 30.0) -> Book:
    return Book(cooldown_s)


def answer(of: Tracklet, verdict: Verdict, cut: float = 0.85, sight: float | None = None) -> Answer:
    if sight is None:
        sight = min(0.6, UNLIKE_SHARE * verdict.candidate.distance)
    identity = HitIdentity(verdict.candidate.identity_id, None, 1)
    return Answer(of, Accepted(verdict, None, cut), identity, "test", {of.best.pts_s: sight})


def found(of: Tracklet, identity: str = "anna", distance: float = 0.5, sight: float | None = None) -> Answer:
    return answer(of, Verdict(Candidate(identity, 1, distance, 1), fused=distance), sight=sight)


def found_by_text(of: Tracklet, identity: str, distance: float) -> Answer:
    """At a distance that the cut of texts, 0.4 farther, allows."""
    return answer(of, Verdict(Candidate(identity, 1, distance, 1, is_text=True), fused=distance), 1.25)


def judged(of: Tracklet, identity: str, distance: float, fused: float, p_no: float) -> Answer:
    """What a verifier said."""
    return answer(of, Verdict(Candidate(identity, 1, distance, 1), fused, p_no))


def told(hits: Sequence[Hit]) -> list[tuple[str, int, str | None]]:
    return [(str(hit.state), hit.revision, hit.reason and str(hit.reason)) for hit in hits]


def test_a_hit_is_opened_updated_while_evidence_improves_and_closed_with_its_track() -> None:
    b = book()
    assert told(b.record(nobody(tracklet(number=1)))) == []
    assert told(b.record(found(tracklet(number=2)))) == [("opened", 1, None)]
    # Nothing new to say: same crop, same distance.
    assert told(b.record(found(tracklet(number=3)))) == []
    # A nearer sight; then a nearer distance.
    assert told(b.record(found(tracklet(number=4, best_pts_s=1.5), sight=0.5))) == [("updated", 4, None)]
    nearer = found(tracklet(number=5, best_pts_s=1.5), distance=0.4, sight=0.5)
    assert told(b.record(nearer)) == [("updated", 5, None)]
    # Doubt does not close it.
    assert told(b.record(nobody(tracklet(number=6)))) == []
    last = b.record(nobody(tracklet(number=7, end=EndReason.TRACK_ENDED)))
    assert told(last) == [("closed", 8, "track_ended")]
    assert len(b) == 0


def test_a_hit_by_a_text_shows_the_distance_and_the_cut_of_texts() -> None:
    (hit,) = book().record(found_by_text(tracklet(), "anna", 0.9))
    assert hit.decision.distance == pytest.approx(0.9)
    assert hit.decision.max_distance == pytest.approx(1.25)


def test_a_distance_is_worth_telling_when_it_has_fallen_by_as_much_as_said() -> None:
    b = book()
    first, second = (Verdict(Candidate("anna", 1, d, 1), fused=d) for d in (NEARER, 0.0))
    assert told(b.record(answer(tracklet(number=1), first, NEARER))) == [("opened", 1, None)]
    assert told(b.record(answer(tracklet(number=2), second, NEARER))) == [("updated", 2, None)]


def test_hits_by_texts_and_by_pictures_are_compared_by_what_is_left_to_their_cuts() -> None:
    b = book()
    assert told(b.record(found_by_text(tracklet(number=1), "anna", 0.9))) == [("opened", 1, None)]
    assert told(b.record(found(tracklet(number=2), "luca", 0.6))) == [], "farther, though 0.6 < 0.9"
    assert told(b.record(found(tracklet(number=3), "anna", 0.6))) == [], "not nearer, though 0.6 < 0.9"
    assert told(b.record(found(tracklet(number=4), "anna", 0.4))) == [("updated", 4, None)]
    assert told(b.record(found_by_text(tracklet(number=5), "luca", 0.7))) == [("opened", 1, None)]


def test_what_the_verifier_says_opens_and_updates_not_the_plain_distance() -> None:
    b = book()
    assert told(b.record(judged(tracklet(number=1), "anna", 0.30, 0.60, 0.45))) == [("opened", 1, None)]
    (luca,) = b.record(judged(tracklet(number=2), "luca", 0.50, 0.20, 0.02))
    assert (luca.identity.id, luca.state, luca.decision.fused) == ("luca", HitState.OPENED, 0.20)
    (anna,) = b.record(judged(tracklet(number=3, best_pts_s=1.5), "anna", 0.30, 0.10, 0.01))
    assert (anna.identity.id, anna.state, anna.decision.fused) == ("anna", HitState.UPDATED, 0.10)
    nearer = replace(judged(tracklet(number=4), "anna", 0.05, 0.10, 0.01), distances={})
    assert b.record(nearer) == [], "nearer by the plain distance"
    assert b.record(judged(tracklet(number=5), "nina", 0.05, 0.30, 0.02)) == [], "farther than luca and anna"


def test_a_verdict_without_an_opinion_that_moves_the_distance_is_shown_as_fused() -> None:
    (hit,) = book().record(answer(tracklet(), Verdict(Candidate("anna", 1, 0.5, 1), fused=0.3)))
    assert (hit.decision.distance, hit.decision.fused, hit.decision.p_no) == (0.5, 0.3, None)


def test_pictures_are_asked_for_once_a_sight_and_kept() -> None:
    b = HitBook("hall", CoolDown(30.0))
    (opened,) = b.record(found(tracklet(number=1)))
    assert opened.shows is not None
    shown = replace(opened.hit.best, mask=Mask((9,), (3, 3)))
    b.keep(replace(opened.hit, best=shown))
    (nearer,) = b.record(found(tracklet(number=2), distance=0.3))
    assert (nearer.shows, nearer.hit.best) == (None, shown)
    (better,) = b.record(found(tracklet(number=3, best_pts_s=1.5), distance=0.3, sight=0.5))
    assert better.shows is not None
    assert better.hit.best.mask is None
    b.keep(nearer.hit)
    (closed,) = b.record(nobody(tracklet(number=4, end=EndReason.TRACK_ENDED)))
    assert closed.hit.best.pts_s == 1.5
    assert closed.hit.best.mask is None, "the pictures of another sight are not its own"


def test_what_a_hit_shows_changes_only_to_what_is_nearer() -> None:
    b = book()
    b.record(found(tracklet(number=1), distance=0.5, sight=0.6))
    assert b.record(found(tracklet(number=2, best_pts_s=1.5), distance=0.5, sight=0.6)) == []
    (surer,) = b.record(found(tracklet(number=3, best_pts_s=1.6), distance=0.4, sight=0.7))
    assert (surer.best.pts_s, surer.best.distance, surer.decision.distance) == (1.0, 0.6, 0.4)
    assert surer.captured_at == tracklet(best_pts_s=1.0).best.captured_at
    (nearer,) = b.record(found(tracklet(number=4, best_pts_s=1.7), distance=0.5, sight=0.55))
    assert (nearer.best.pts_s, nearer.best.distance) == (1.7, 0.55)
    assert nearer.decision.distance == 0.4, "no worse than what it was told by"


def test_what_could_not_be_shown_is_told_as_long_as_that_sight_is_shown() -> None:
    b = HitBook("hall", CoolDown(30.0))
    (opened,) = b.record(found(tracklet(number=1)))
    b.keep(replace(opened.hit, decision=replace(opened.hit.decision, degraded=("mask",))))
    (nearer,) = b.record(found(tracklet(number=2), distance=0.3))
    assert nearer.hit.decision.degraded == ("mask",)
    (better,) = b.record(found(tracklet(number=3, best_pts_s=1.5), distance=0.3, sight=0.5))
    assert better.hit.decision.degraded == ()


def test_the_last_question_may_open_and_close_at_once() -> None:
    hits = book().record(found(tracklet(number=1, end=EndReason.TRACK_ENDED)))
    assert told(hits) == [("opened", 1, None), ("closed", 2, "track_ended")]


def test_the_last_question_brings_its_better_evidence_into_the_close() -> None:
    b = book()
    b.record(found(tracklet(number=1)))
    end = tracklet(number=2, best_pts_s=1.7, end=EndReason.TRACK_ENDED)
    (closed,) = b.record(found(end, distance=0.3, sight=0.5))
    assert (closed.state, closed.best.pts_s, closed.decision.distance) == (HitState.CLOSED, 1.7, 0.3)


@pytest.mark.parametrize("reason", [EndReason.STREAM_LOST, EndReason.STOPPED])
def test_a_close_that_does_not_follow_from_the_stream_has_a_revision_of_its_own(reason: EndReason) -> None:
    b = book()
    b.record(found(tracklet(number=1)))
    (closed,) = b.record(nobody(tracklet(number=2, end=reason)))
    assert closed.revision > LAST_REVISION
    assert closed.reason is reason


def changed(
    number: int, shown: float, identity: str = "luca", distance: float = 0.4, cut: float = 0.85
) -> Answer:
    """The track is somebody at that distance, and what was shown at 1.0 s lies so far from them."""
    verdict = Verdict(Candidate(identity, 1, distance, 1), fused=distance)
    of = tracklet(number=number, best_pts_s=1.5, decided_pts_s=2.0 + number)
    return replace(answer(of, verdict, cut), distances={1.0: shown, 1.5: 0.4})


def test_a_hit_that_shows_somebody_else_is_retracted_and_its_person_may_be_found_elsewhere() -> None:
    b = book()
    b.record(found(tracklet(number=1), "anna", 0.5, sight=0.6))
    retracted, opened = b.record(changed(2, shown=0.54))
    assert (retracted.identity.id, opened.identity.id, opened.state) == ("anna", "luca", HitState.OPENED)
    assert told([retracted]) == [("retracted", RETRACTED_REVISION + 2, "identity_changed")]
    assert (retracted.decided_pts_s, retracted.best.pts_s) == (4.0, 1.0), (
        "what it showed, and when it was taken back"
    )
    assert len(b) == 1
    assert b.record(found(tracklet(number=3), "anna", 0.3)) == [], "one hit a track and identity"
    elsewhere = found(tracklet(TrackKey("door", "e1", 2)), "anna", 0.5)
    assert told(b.record(elsewhere)) == [("opened", 1, None)], "at once, in spite of the cool-down"
    closed = b.record(nobody(tracklet(number=4, end=EndReason.TRACK_ENDED)))
    assert [(hit.identity.id, hit.state) for hit in closed] == [("luca", HitState.CLOSED)]


@pytest.mark.parametrize(
    "later",
    [
        changed(2, shown=0.56),  # no nearer to luca than may be chance
        changed(2, shown=0.1, distance=0.5),  # luca is no surer
        changed(
            2, shown=0.1, distance=0.5, cut=1.25
        ),  # surer by a text: such distances say nothing of pictures
        changed(2, shown=0.1, identity="anna"),
        replace(changed(2, shown=0.1), distances={}),
        nobody(tracklet(number=2, best_pts_s=1.5)),
    ],
)
def test_a_hit_that_shows_its_person_stays(later: Answer) -> None:
    b = book()
    b.record(found(tracklet(number=1), "anna", 0.5, sight=0.6))
    assert [hit for hit in b.record(later) if hit.state is HitState.RETRACTED] == []


def test_a_hit_that_is_retracted_with_its_last_question_is_not_closed_besides() -> None:
    b = book()
    b.record(found(tracklet(number=1), "anna", 0.5, sight=0.6))
    last = changed(2, shown=0.5)
    hits = b.record(replace(last, tracklet=replace(last.tracklet, end=EndReason.STOPPED)))
    assert [(hit.identity.id, str(hit.state)) for hit in hits] == [
        ("anna", "retracted"),
        ("luca", "opened"),
        ("luca", "closed"),
    ]
    assert len(b) == 0


def test_a_hit_that_another_process_took_back_is_not_opened_again_and_cools_nobody_down() -> None:
    there, here = HitBook("hall", CoolDown(30.0)), HitBook("hall", CoolDown(30.0))
    there.record(found(tracklet(number=1), "anna", 0.5, sight=0.6))
    retracted = there.record(changed(2, shown=0.5))[0].hit
    here.recall(retracted)
    here.adopt(KEY, retracted)
    assert len(here) == 0
    assert here.record(found(tracklet(number=3), "anna", 0.2)) == []
    assert here.record(found(tracklet(TrackKey("door", "e1", 2)), "anna", 0.5)) != []


def later(track_id: int, number: int = 1, *lost: int, **parts: float) -> Tracklet:
    """A question about another track of the stream, which began when some were lost."""
    return replace(tracklet(KEY._replace(track_id=track_id), number, **parts), lost=lost)


def test_the_hit_of_a_lost_track_goes_on_with_the_one_on_which_its_person_is_found() -> None:
    b = book()
    (opened,) = b.record(found(tracklet(number=3)))
    (taken,) = b.record(found(later(5, 1, 1, best_pts_s=3.0, decided_pts_s=4.0), distance=0.6, sight=0.7))
    assert (taken.hit_id, taken.track_id, taken.continued_from) == (opened.hit_id, 5, 1)
    assert told([taken]) == [("updated", CONTINUED_REVISIONS + 1, None)]
    assert (taken.best, taken.last_pts_s) == (opened.best, 4.0), "what it shows is still the nearest"
    (nearer,) = b.record(found(later(5, 2, best_pts_s=3.5, decided_pts_s=5.0), sight=0.5))
    assert told([nearer]) == [("updated", CONTINUED_REVISIONS + 2, None)]
    assert (nearer.continued_from, nearer.best.pts_s) == (1, 3.5)
    assert len(b) == 1
    assert b.record(nobody(tracklet(number=4, end=EndReason.TRACK_ENDED))) == [], (
        "it is over with its new track"
    )
    (closed,) = b.record(nobody(replace(later(5, 3, decided_pts_s=6.0), end=EndReason.TRACK_ENDED)))
    assert (closed.continued_from, closed.track_id) == (1, 5)
    assert told([closed]) == [("closed", CONTINUED_REVISIONS + 4, "track_ended")]


def test_a_hit_that_goes_on_shows_what_is_nearer_at_once() -> None:
    b = book()
    b.record(found(tracklet(number=1), sight=0.6))
    (taken,) = b.record(found(later(5, 1, 1, best_pts_s=3.0, decided_pts_s=4.0), sight=0.5))
    assert (taken.continued_from, taken.best.pts_s, taken.revision) == (1, 3.0, CONTINUED_REVISIONS + 1)


def test_neither_track_of_a_hit_that_went_on_opens_another_for_that_identity() -> None:
    b = book(cooldown_s=0.0)
    b.record(found(tracklet(number=1)))
    b.record(found(later(5, 1, 1)))
    assert b.record(found(tracklet(number=2), distance=0.1, sight=0.1)) == []
    assert b.record(found(later(5, 2))) == []
    assert not b.book.may_report(tracklet(number=3), "anna", -0.5)


def test_a_hit_goes_on_again_and_again_with_revisions_that_grow() -> None:
    b = book()
    b.record(found(tracklet(number=1)))
    b.record(found(later(5, 7, 1)))
    (taken,) = b.record(found(later(6, 1, 5, 1)))
    assert (taken.track_id, taken.continued_from, taken.revision) == (6, 5, 2 * CONTINUED_REVISIONS + 1)
    (stopped,) = b.record(nobody(replace(later(6, 2), end=EndReason.STOPPED)))
    assert stopped.revision == LAST_REVISION + 2 * CONTINUED_REVISIONS + 2


@pytest.mark.parametrize(
    "track", [later(5), later(5, 1, 2), replace(later(5, 1, 1), key=TrackKey("yard", "e1", 5))]
)
def test_a_hit_stays_with_its_track_unless_that_is_lost(track: Tracklet) -> None:
    b = book(cooldown_s=0.0)
    (first,) = b.record(found(tracklet(number=1)))
    (other,) = b.record(found(track))
    assert (other.state, other.continued_from) == (HitState.OPENED, None)
    assert other.hit_id != first.hit_id


def test_a_hit_goes_on_in_spite_of_its_own_cool_down_but_not_on_a_track_that_is_surely_somebody_else() -> (
    None
):
    b = book(cooldown_s=30.0)
    b.record(found(tracklet(number=1), "anna", 0.5))
    b.record(found(later(5, 1), "luca", 0.3))
    again = later(5, 2, 1, best_pts_s=1.5)
    assert not b.book.may_report(again, "anna", 0.4 - 0.85)
    assert b.record(found(again, "anna", 0.4)) == []
    assert b.book.may_report(again, "anna", 0.2 - 0.85)
    assert [hit.continued_from for hit in b.record(found(again, "anna", 0.2))] == [1]


def test_a_hit_that_went_on_may_be_taken_back() -> None:
    b = book()
    b.record(found(tracklet(number=1), "anna", 0.6))
    b.record(found(later(5, 1, 1, best_pts_s=1.0), "anna", 0.6, sight=0.5))
    verdict = Verdict(Candidate("luca", 1, 0.4, 1), fused=0.4)
    of = later(5, 2, best_pts_s=1.5)
    retracted, opened = b.record(replace(answer(of, verdict), distances={1.0: 0.3, 1.5: 0.4}))
    assert told([retracted]) == [
        ("retracted", RETRACTED_REVISION + CONTINUED_REVISIONS + 2, "identity_changed")
    ]
    assert (retracted.continued_from, opened.identity.id) == (1, "luca")


def test_a_hit_that_went_on_elsewhere_goes_on_here() -> None:
    there, here = book(), book(cooldown_s=0.0)
    there.record(found(tracklet(number=1)))
    (taken,) = there.record(found(later(5, 1, 1)))
    back = to_hit(to_event(taken, "hall"))
    assert back.continued_from == 1
    for track_id in (1, 5):
        here.book.adopt(KEY._replace(track_id=track_id), back)
    assert len(here) == 1
    assert here.record(found(tracklet(number=1))) == [], "its old track opens none"
    assert here.record(found(later(5, 1, 1))) == [], "it was told"
    (updated,) = here.record(found(later(5, 2), sight=0.5, distance=0.2))
    assert told([updated]) == [("updated", CONTINUED_REVISIONS + 2, None)]


def test_a_track_that_can_show_only_somebody_else_opens_no_hit_yet() -> None:
    """Its mean is near by crops whose frames are gone, its clear sights are of those who stood in the way."""
    b = book()
    farthest = UNLIKE_SHARE * 0.5 + NEARER
    assert b.record(found(tracklet(number=1), sight=farthest + 0.01)) == []
    assert told(b.record(found(tracklet(number=2), sight=farthest - 0.01))) == [("opened", 1, None)]


def test_one_hit_at_most_per_track_and_identity_and_a_second_identity_must_be_nearer() -> None:
    b = book()
    b.record(found(tracklet(number=1), "anna", 0.5))
    assert b.record(found(tracklet(number=2), "luca", 0.6)) == []
    assert b.record(found(tracklet(number=2), "luca", 0.5)) == [], "as near is not nearer"
    (other,) = b.record(found(tracklet(number=3, best_pts_s=1.5), "luca", 0.4))
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
    digest = hashlib.sha256(b"hall\0door\0e1\x007\0anna").hexdigest()
    assert hit_id("hall", key, "anna") == digest[:32], "machines of other versions make the same"


def test_a_hit_opened_elsewhere_goes_on_here_and_its_cool_down_too() -> None:
    there, here = HitBook("hall", CoolDown(30.0)), HitBook("hall", CoolDown(30.0))
    (opened,) = there.record(found(tracklet(number=1, decided_pts_s=10.0)))
    here.adopt(KEY, opened.hit)
    here.recall(opened.hit)
    nearer = found(tracklet(number=2, decided_pts_s=11.0), distance=0.3)
    (updated,) = here.record(nearer)
    assert (updated.hit.hit_id, updated.hit.state, updated.hit.revision) == (
        opened.hit.hit_id,
        HitState.UPDATED,
        2,
    )
    here.keep(replace(updated.hit, hit_id="of a track that is over", track_id=99))
    again = TrackKey("door", "e1", 2)
    assert not here.record(found(tracklet(again, decided_pts_s=39.0))), (
        "30 s from the question, not from the sight"
    )
    assert here.record(found(tracklet(again, 2, decided_pts_s=41.0)))
    here.forget(again)
    assert [
        report.hit.track_id for report in here.record(nobody(tracklet(again, 3, end=EndReason.STOPPED)))
    ] == []
