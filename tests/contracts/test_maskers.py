"""What every masker promises, its run lengths drawn pixel by pixel."""

import numpy as np
import pytest

from pipeline.protocols import Masker
from pipeline.registry import build, known
from pipeline.settings import choose
from tests.oracles.run_lengths import decode
from tests.tracklets import tracklet


@pytest.fixture(params=known("masker"))
def masker(request, tmp_path):
    return build("masker", choose(request.param), tmp_path, "masker")


def test_it_is_a_masker(masker) -> None:
    assert isinstance(masker, Masker)


def test_the_mask_has_the_size_of_the_scene_and_lies_on_the_person(masker) -> None:
    (mask,) = masker.mask([tracklet(box=(10, 5, 30, 40))])
    assert mask.size == (48, 64)
    rows, columns = np.nonzero(decode(mask.counts, mask.size))
    assert len(rows) > 0.2 * 20 * 35
    assert (columns.min(), rows.min()) >= (9, 4)
    assert (columns.max(), rows.max()) <= (30, 40)


def test_runs_are_as_short_as_they_can_be(masker) -> None:
    """Only the first run may be empty: two masks that show the same are the same."""
    for box in [(0, 0, 64, 48), (10, 0, 30, 48), (0, 0, 10, 10), (50, 40, 64, 48)]:
        (mask,) = masker.mask([tracklet(box=box)])
        assert all(count > 0 for count in mask.counts[1:]), box


def test_one_answer_a_tracklet_in_order(masker) -> None:
    left, right = (2, 2, 20, 40), (40, 2, 60, 40)
    masks = masker.mask([tracklet(box=left), tracklet(box=right), tracklet(box=left)])
    assert masks == [*masker.mask([tracklet(box=left)]), *masker.mask([tracklet(box=right)]), masks[0]]
    assert masker.mask([]) == []


def test_a_person_outside_the_scene_has_no_mask(masker) -> None:
    assert masker.mask([tracklet(box=(100, 100, 120, 140))]) == [None]
