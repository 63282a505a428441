import random
from dataclasses import replace

import numpy as np
import pytest

from tests.oracles.alerts import count
from trainers.metrics.alerts import Appearance, HitRevision, PersonLabels, StreamTruth, score_alerts

BOX = (100.0, 100.0, 200.0, 300.0)
FAR = (500.0, 100.0, 600.0, 300.0)


def labelled(*rows):
    """(time, box) rows of one person."""
    return PersonLabels(
        np.array([time for time, _ in rows], np.float64),
        np.array([box for _, box in rows], np.float32).reshape(-1, 4),
    )


def hall(**changes):
    """Ann stays from 10 s to 20 s, labelled twice a second in one place; Bob all the time, far away."""
    stays = (Appearance("hall", "ann", 10.0, 20.0), Appearance("hall", "bob", 0.0, 60.0))
    labels = {
        "ann": labelled(*((10 + i / 2, BOX) for i in range(21))),
        "bob": labelled(*((i / 2, FAR) for i in range(121))),
    }
    return StreamTruth(
        **{"stream_id": "hall", "seconds": 60.0, "appearances": stays, "labels": labels, **changes}
    )


def hit(
    hit_id="h", *, revision=1, who="ann", stream="hall", span=(11.0, 13.0), decided=13.0, at=12.0, box=BOX
):
    return HitRevision(hit_id, revision, stream, who, span[0], span[1], decided, at, box)


def shifted(overlap):
    """BOX moved sideways until the IoU is `overlap`: 2 * overlap / (1 + overlap) of its width is shared."""
    shift = 100 * (1 - 2 * overlap / (1 + overlap))
    return (100 + shift, 100, 200 + shift, 300)


CASES = {
    # the plain good case
    "on_the_person": ([hit()], True),
    # threshold boundary: exactly at 0.3 counts, just below does not
    "iou_at_threshold": ([hit(box=shifted(0.3))], True),
    "iou_below_threshold": ([hit(box=shifted(0.298))], False),
    # the person is there, but the box is on somebody else
    "box_elsewhere": ([hit(box=FAR)], False),
    # the same box before the person came: no label within half a second, no appearance
    "before_they_came": ([hit(span=(5.0, 7.0), at=6.0)], False),
    # spans that only touch do overlap
    "span_touches_start": ([hit(span=(9.0, 10.0), at=10.0)], True),
    "span_touches_end": ([hit(span=(20.0, 22.0), at=20.0)], True),
    # the best sight lies 0.5 s after the last label: still near; 0.6 s: not
    "half_a_second_away": ([hit(span=(19.0, 21.0), at=20.5)], True),
    "over_half_a_second": ([hit(span=(19.0, 21.0), at=20.6)], False),
    # somebody who is not in this stream at all
    "person_not_here": ([hit(who="eve")], False),
    "stream_unknown": ([hit(stream="yard")], False),
    # one wrong picture is enough, whenever it was shown, whatever the order of the file
    "mended_later": ([hit(revision=2), hit(revision=1, box=FAR)], False),
    "spoiled_later": ([hit(revision=5, box=FAR), hit(revision=1)], False),
    # a repeat of an event is not a second hit
    "repeated": ([hit(), hit()], True),
}


@pytest.mark.parametrize(("revisions", "right"), CASES.values(), ids=CASES.keys())
def test_one_hit(revisions, right):
    scores = score_alerts(revisions, [hall()], {"ann"})
    assert (scores.right, scores.wrong, scores.missed) == ((1, 0, 0) if right else (0, 1, 1))
    assert scores.precision == float(right)
    assert scores.recall == float(right)


def test_nearest_label_decides_and_not_a_better_one_beside_it():
    truth = hall(labels={"ann": labelled((11.8, FAR), (12.3, BOX))})
    assert score_alerts([hit(at=12.0)], [truth], {"ann"}).wrong == 1
    assert score_alerts([hit(at=12.1)], [truth], {"ann"}).right == 1


def test_who_overlaps_the_box_better_is_whom_it_shows():
    """An enrolled person half covered by a stranger who stands in front."""
    behind = {"ann": labelled((12.0, shifted(0.4))), "bob": labelled((12.0, shifted(0.6)))}
    assert score_alerts([hit()], [hall(labels=behind)], {"ann"}).wrong == 1
    before = {"ann": labelled((12.0, shifted(0.6))), "bob": labelled((12.0, shifted(0.4)))}
    assert score_alerts([hit()], [hall(labels=before)], {"ann"}).right == 1


def test_a_hit_on_what_is_to_be_ignored_is_neither_right_nor_wrong():
    truth = hall(labels={"ann": labelled((12.4, shifted(0.5)))}, ignored=labelled((12.0, FAR), (12.0, BOX)))
    scores = score_alerts([hit()], [truth], {"ann"})
    assert (scores.right, scores.wrong, scores.ignored, scores.missed) == (0, 0, 1, 1)
    assert scores.precision is None
    elsewhere = hall(ignored=labelled((12.0, shifted(0.2))))
    assert score_alerts([hit()], [elsewhere], {"ann"}).right == 1


@pytest.mark.parametrize(("after_s", "counted"), [(2.0, (1, 0)), (2.5, (0, 1))])
def test_a_hit_retracted_at_once_is_counted_apart_and_is_an_alarm(after_s, counted):
    back = replace(hit(revision=1_000_000, decided=13.0 + after_s), retracted=True)
    scores = score_alerts([hit(), back], [hall(seconds=864.0)], {"ann"})
    assert (scores.retracted, scores.wrong) == counted
    assert (scores.right, scores.missed) == (0, 1)
    assert scores.false_alarms_per_camera_day == pytest.approx(100)


def test_label_without_appearance_is_not_right():
    """A stay too short to count: the box is on the person, and the contract calls only appearances right."""
    assert score_alerts([hit()], [hall(appearances=())], {"ann"}).wrong == 1


def test_second_hit_on_the_same_appearance_is_right_and_finds_nobody_new():
    scores = score_alerts([hit("a"), hit("b", span=(15.0, 18.0), at=16.0, decided=17.0)], [hall()], {"ann"})
    assert (scores.right, scores.wrong, len(scores.appearances), scores.recall) == (2, 0, 1, 1.0)
    assert scores.time_to_first_hit_s(0.5) == pytest.approx(3.0)


def test_time_to_first_hit_is_of_the_opened_event_of_a_right_hit():
    revisions = [
        hit("wrong", decided=10.5, box=FAR),
        hit("right", revision=1, decided=14.0, at=12.5),
        hit("right", revision=4, decided=19.0),
    ]
    scores = score_alerts(revisions, [hall()], {"ann"})
    assert scores.appearances[0].first_hit_s == pytest.approx(4.0)


def test_two_stays_are_two_appearances():
    stays = (Appearance("hall", "ann", 10.0, 14.0), Appearance("hall", "ann", 16.0, 20.0))
    scores = score_alerts([hit()], [hall(appearances=stays)], {"ann"})
    assert (scores.right, scores.missed, scores.recall) == (1, 1, 0.5)
    across = score_alerts([hit(span=(11.0, 17.0))], [hall(appearances=stays)], {"ann"})
    assert (across.right, across.missed) == (1, 0)


def test_only_the_enrolled_can_be_missed():
    assert score_alerts([], [hall()], {"ann"}).missed == 1
    assert score_alerts([], [hall()], {"ann", "bob"}).missed == 2
    assert score_alerts([], [hall()], {"eve"}).recall is None


def test_false_alarms_are_counted_per_camera_day():
    truth = [hall(seconds=3600.0), StreamTruth("yard", 3600.0, (), {})]
    scores = score_alerts([hit("a", stream="yard"), hit("b"), hit("c", box=FAR)], truth, {"ann"})
    assert scores.false_alarms_per_camera_day == pytest.approx(2 * 86400 / 7200)


def test_nothing_at_all_divides_nothing():
    scores = score_alerts([], [], set())
    assert (scores.precision, scores.recall, scores.time_to_first_hit_s(0.9)) == (None, None, None)
    assert scores.false_alarms_per_camera_day is None


def test_median_and_p90_over_the_found():
    stays = tuple(Appearance("hall", "ann", 10.0 * i, 10.0 * i + 5) for i in range(1, 12))
    labels = {"ann": labelled(*((10.0 * i + 2, BOX) for i in range(1, 12)))}
    hits = [hit(str(i), span=(10 * i + 1, 10 * i + 3), at=10 * i + 2, decided=11 * i) for i in range(1, 12)]
    scores = score_alerts(hits, [hall(appearances=stays, labels=labels)], {"ann"})
    assert scores.time_to_first_hit_s(0.5) == pytest.approx(6.0)
    assert scores.time_to_first_hit_s(0.9) == pytest.approx(10.0)


@pytest.mark.parametrize("seed", range(40))
def test_against_the_plain_loops(seed):
    chance = random.Random(seed)
    streams, people = ["a", "b", "c"], ["p1", "p2", "p3", "p4"]
    labels, stays = [], []
    for stream in streams:
        for who in chance.sample(people, 3):
            start = chance.randrange(0, 40) / 4
            stays.append((stream, who, start, start + chance.randrange(1, 20) / 4))
            for step in range(chance.randrange(0, 12)):
                left = chance.randrange(0, 200)
                labels.append((stream, who, start + step * 0.375, (left, 0, left + 100, 200)))
    events = [
        {
            "hit": f"h{number}", "revision": revision, "stream": where, "who": who,
            "first": first, "last": first + chance.randrange(0, 16) / 4,
            "decided": first + revision,
            "at": first + chance.randrange(0, 16) / 8, "box": (left, 10, left + 90, 190),
        }
        for number in range(chance.randrange(0, 25))
        for first, left in [(chance.randrange(0, 50) / 4, chance.randrange(0, 200))]
        for where, who in [(chance.choice(streams), chance.choice(people))]
        for revision in chance.sample(range(1, 6), chance.randrange(1, 4))
    ]  # fmt: skip
    chance.shuffle(events)
    enrolled = set(chance.sample(people, 2))

    revisions = [HitRevision(*event.values()) for event in events]
    truth = [
        StreamTruth(
            stream,
            10.0,
            tuple(Appearance(*stay) for stay in stays if stay[0] == stream),
            {
                who: labelled(*((time, box) for s, w, time, box in labels if (s, w) == (stream, who)))
                for who in people
            },
        )
        for stream in streams
    ]
    scores = score_alerts(revisions, truth, enrolled)
    waits = sorted(item.first_hit_s for item in scores.appearances if not item.missed)
    right, wrong, missed, expected_waits = count(events, labels, stays, enrolled)
    assert (scores.right, scores.wrong, scores.missed) == (right, wrong, missed)
    assert waits == pytest.approx(expected_waits)
