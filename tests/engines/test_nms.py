"""Suppression against the definition."""

import numpy as np
import pytest

from engines.decode import nms
from tests.oracles import nms as oracle


@pytest.mark.parametrize("seed", range(20))
def test_same_rows_as_every_pair_compared(seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (80, 2))], axis=1).astype(np.float32)
    scores = rng.choice(np.linspace(0.1, 1, 25), 80).astype(np.float32)  # with ties
    max_iou = float(rng.uniform(0.05, 0.5))

    kept = nms(boxes, scores, max_iou)

    assert kept.tolist() == oracle.nms(boxes.astype(float), scores, max_iou)
    assert 0 < len(kept) < 80


def test_nobody():
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5).tolist() == []


def test_boxes_without_area_do_no_harm():
    boxes = np.float32([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]])
    assert nms(boxes, np.float32([0.9, 0.8, 0.7]), 0.5)[0] == 0
