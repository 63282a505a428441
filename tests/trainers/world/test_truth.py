"""What is said of a picture holds in its pixels."""

import numpy as np
import pytest

from tests.support.small_world import SIZE, at_target, person, picture, view
from trainers.world.crowd import Crowd
from trainers.world.domains import DOMAINS
from trainers.world.render import Picture


@pytest.fixture(scope="module")
def three() -> Picture:
    hall = view()
    crowd = Crowd([person(seed) for seed in (1, 2, 3)])
    poses = {0: at_target(hall), 1: at_target(hall, aside=0.2, nearer=1.0), 2: at_target(hall, aside=-1.5)}
    return picture(crowd, poses, hall)


def test_everybody_in_the_mask_is_in_the_record_and_the_other_way_round(three: Picture) -> None:
    assert set(np.unique(three.ids)) - {0} == {seen.index + 1 for seen in three.seen if seen.box[2]}


def test_boxes_are_tight_around_the_mask(three: Picture) -> None:
    for seen in three.seen:
        rows, columns = np.nonzero(three.ids == seen.index + 1)
        x, y, w, h = seen.box
        assert (x, y, x + w - 1, y + h - 1) == (columns.min(), rows.min(), columns.max(), rows.max())


def test_visible_boxes_lie_in_amodal_ones(three: Picture) -> None:
    for seen in three.seen:
        x, y, w, h = seen.box
        left, top, right, bottom = seen.amodal
        assert left - 1 <= x
        assert top - 1 <= y
        assert x + w <= right + 1
        assert y + h <= bottom + 1


def test_who_stands_behind_is_seen_less(three: Picture) -> None:
    behind, before, beside = (seen.visibility for seen in sorted(three.seen, key=lambda seen: seen.index))
    assert behind < 0.8
    assert before == 1.0
    assert beside == 1.0


def test_shares_of_the_parts_make_a_whole(three: Picture) -> None:
    for seen in three.seen:
        assert sum(seen.parts.values()) == pytest.approx(1.0, abs=0.005)
        assert {"upper", "skin"} <= seen.parts.keys()


def test_somebody_alone_is_wholly_visible_and_stands_on_the_box() -> None:
    hall = view()
    crowd = Crowd([person(1)])
    pose = at_target(hall)
    (seen,) = picture(crowd, {0: pose}, hall).seen
    assert seen.visibility == 1.0
    assert seen.in_frame == 1.0
    soles = crowd.vertices[crowd.vertices[:, 2] < 0.02]
    assert hall.camera.project(soles)[:, 1].max() == pytest.approx(seen.box[1] + seen.box[3], abs=3)
    assert float(crowd.vertices[:, 2].min()) == pytest.approx(0, abs=0.03)


def test_nobody_there_is_nobody_seen() -> None:
    hall = view()
    empty = picture(Crowd([person(1)]), {}, hall)
    assert empty.seen == ()
    assert not empty.ids.any()


def test_the_truth_is_the_same_each_time() -> None:
    hall = view()
    crowd = Crowd([person(1), person(2)])
    poses = {0: at_target(hall), 1: at_target(hall, aside=0.4)}
    one, other = picture(crowd, poses, hall), picture(crowd, poses, hall)
    assert one.seen == other.seen
    assert np.array_equal(one.ids, other.ids)


@pytest.mark.parametrize("domain", DOMAINS)
def test_each_domain_shows_people(domain: str) -> None:
    seen_from = view(domain)
    crowd = Crowd([person(1)])
    shown = picture(crowd, {0: at_target(seen_from)}, seen_from)
    assert shown.image.shape == (SIZE[1], SIZE[0], 3)
    (seen,) = shown.seen
    assert seen.box[3] > 30
    assert 12 < shown.image.mean() < 235
    assert shown.image.std() > 8
    colourless = np.ptp(shown.image.astype(int), axis=2).mean() < 4  # JPEG leaves a trace
    assert colourless == DOMAINS[domain].infrared


def test_weights_of_the_bones_sum_to_one() -> None:
    assert np.allclose(person(1).weights.sum(1), 1, atol=1e-6)
