"""Who answers for whom, against a plain loop over people and cells; boxes against hand-made ones."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engines.decode import Reading, decode  # noqa: E402
from engines.manifest import YoloxDecoder  # noqa: E402
from trainers.detection.assign import assign  # noqa: E402
from trainers.detection.cells import Cells, make_cells  # noqa: E402
from trainers.detection.overlap import giou, iou  # noqa: E402

pytestmark = pytest.mark.torch
SIZE, STRIDES = (64, 96), (8, 16, 32)


def _plain_iou(a: list[float], b: list[float]) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / union


def _lies_on(x: float, y: float, stride: float, box: list[float]) -> bool:
    middle_x, middle_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    near = abs(x - middle_x) <= stride / 2 and abs(y - middle_y) <= stride / 2
    return near or (box[0] < x < box[2] and box[1] < y < box[3])


def _plain(boxes, scores, cells: Cells, people, most: int) -> tuple[list[int], list[float]]:
    """One picture, step by step, as the docstring of `assign` says."""
    centres, strides = cells.centre.tolist(), cells.stride[:, 0].tolist()
    claims: dict[int, list[tuple[float, int, float]]] = {}
    for number, person in enumerate(people):
        fits = []
        for cell, box in enumerate(boxes):
            if _lies_on(*centres[cell], strides[cell], person):
                overlap = _plain_iou(box, person)
                fits.append((scores[cell] * overlap**6, cell, overlap))
        for fit, cell, overlap in sorted(fits, reverse=True)[:most]:
            if fit > 0:
                claims.setdefault(cell, []).append((overlap, number, fit))
    owner, kept = [-1] * len(boxes), {}
    for cell, wanting in claims.items():
        overlap, number, fit = max(wanting)
        owner[cell] = number
        kept[cell] = (number, fit, overlap)
    quality = [0.0] * len(boxes)
    for cell, (number, fit, _) in kept.items():
        others = [other for other in kept.values() if other[0] == number]
        quality[cell] = fit / max(other[1] for other in others) * max(other[2] for other in others)
    return owner, quality


def _case(seed: int):
    rng = np.random.default_rng(seed)
    cells = make_cells(SIZE, STRIDES)
    count = len(cells.corner)
    coded = torch.from_numpy(rng.normal(0.5, 0.5, (2, count, 4)).astype(np.float32))
    scores = torch.from_numpy(rng.uniform(0.01, 0.99, (2, count)).astype(np.float32))
    corner = rng.uniform(0, (60, 30), (2, 3, 2))
    people = np.concatenate([corner, corner + rng.uniform(6, 34, (2, 3, 2))], axis=2).astype(np.float32)
    present = torch.tensor([[True, True, True], [True, False, False]])
    return cells, cells.boxes(coded), scores, torch.from_numpy(people), present


@pytest.mark.parametrize("seed", range(8))
def test_assignment_is_that_of_the_plain_loop(seed: int) -> None:
    cells, boxes, scores, people, present = _case(seed)
    targets = assign(boxes, scores, cells, people, present, most=4)
    for picture in range(2):
        who = people[picture][present[picture]].tolist()
        owner, quality = _plain(boxes[picture].tolist(), scores[picture].tolist(), cells, who, most=4)
        assert targets.owner[picture].tolist() == owner
        np.testing.assert_allclose(targets.quality[picture].numpy(), quality, rtol=1e-3, atol=1e-6)


def test_nobody_means_no_targets() -> None:
    cells, boxes, scores, people, present = _case(0)
    targets = assign(boxes, scores, cells, people[:, :0], present[:, :0])
    assert (targets.owner == -1).all()
    assert (targets.quality == 0).all()


def test_a_person_thinner_than_all_cells_is_still_somebodys() -> None:
    cells, boxes, scores, _, _ = _case(1)
    sliver = torch.tensor([[[16.5, 8.0, 19.0, 20.0]]] * 2)  # between two columns of centres
    targets = assign(boxes, scores, cells, sliver, torch.ones(2, 1, dtype=torch.bool))
    assert ((targets.owner >= 0).sum(dim=1) > 0).all()


def test_cells_lie_and_code_as_the_stream_decodes_them() -> None:
    cells = make_cells(SIZE, STRIDES)
    coded = torch.randn(1, len(cells.corner), 4) * 0.3
    ones = torch.ones(1, len(cells.corner), 1)
    score = torch.linspace(0.99, 0.1, len(cells.corner))[None, :, None]
    reading = Reading(SIZE, 1, 0.0, 1.0)
    rows = torch.cat([coded, score, ones], dim=2).numpy()
    (found,) = decode([rows], YoloxDecoder(kind="yolox", strides=STRIDES), reading)
    np.testing.assert_allclose(found.xyxy, cells.boxes(coded)[0].numpy(), rtol=1e-4, atol=1e-3)


def test_generalised_overlap_by_hand() -> None:
    a = torch.tensor([0.0, 0.0, 2.0, 2.0])
    apart = torch.tensor([3.0, 0.0, 5.0, 2.0])  # around both: 10, union 8
    assert giou(a, apart).item() == pytest.approx(-0.2)
    assert iou(a, apart).item() == 0.0
    assert giou(a, a).item() == pytest.approx(1.0)
    corner = torch.tensor([1.0, 1.0, 3.0, 3.0])  # shared 1, union 7, around 9
    assert giou(a, corner).item() == pytest.approx(1 / 7 - 2 / 9)
