"""Decoders against answers written out from known boxes."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from engines.decode import Reading, decode, nms
from engines.errors import OutputError, TensorError
from engines.manifest import Decoder
from tests.oracles import nms as every_pair
from tests.oracles import raw_answers

SIZE = (160, 224)
BOXES = np.float32([[10, 20, 50, 120], [100, 8, 140, 100], [150, 30, 210, 155], [60, 60, 80, 110]])
SCORES = np.float32([0.9, 0.75, 0.6, 0.2])  # the last one is below the cut
KINDS = {
    "yolox": ({}, lambda b, s: raw_answers.yolox(b, s, SIZE, (8, 16, 32))),
    "yolox of other strides": ({"strides": [4, 16]}, lambda b, s: raw_answers.yolox(b, s, SIZE, (4, 16))),
    "ultralytics": ({}, raw_answers.ultralytics),
    "ultralytics with nms": ({}, raw_answers.end_to_end),
    "end_to_end": ({}, raw_answers.end_to_end),
    "detr": ({}, lambda b, s: raw_answers.detr(b, s, SIZE, "sigmoid")),
    "detr of softmax": (
        {"scores": "softmax"},
        lambda b, s: raw_answers.detr(b, s, SIZE, "softmax", classes=8),
    ),
    "detr of four classes": (
        {},
        lambda b, s: raw_answers.detr(b, s, SIZE, "sigmoid", classes=4),
    ),
    "ssd": ({}, lambda b, s: raw_answers.ssd(b, s, SIZE)),
}


def decoder(kind, **keys):
    return TypeAdapter(Decoder).validate_python({"kind": kind.split()[0], "person_class": 1, **keys})


def read(outputs, of, batch=1, min_score=0.3):
    return decode(outputs, of, Reading(SIZE, batch, min_score, nms_iou=0.5))


@pytest.mark.parametrize("kind", KINDS)
def test_known_boxes_come_back(kind):
    keys, encode = KINDS[kind]
    order = [2, 0, 3, 1]
    (found,) = read(encode(BOXES[order], SCORES[order]), decoder(kind, **keys))
    assert found.xyxy == pytest.approx(BOXES[:3], abs=1e-3)
    assert found.score == pytest.approx(SCORES[:3], abs=1e-5)
    assert found.xyxy.dtype == found.score.dtype == np.float32


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ssd"])
def test_each_picture_gets_its_own(kind):
    keys, encode = KINDS[kind]
    answers = [encode(BOXES[:count], SCORES[:count]) for count in (3, 0, 1)]
    together = [np.concatenate(parts) for parts in zip(*answers, strict=True)]
    found = read(together, decoder(kind, **keys), batch=3)
    assert [len(boxes.score) for boxes in found] == [3, 0, 1]
    assert found[2].xyxy == pytest.approx(BOXES[:1], abs=1e-3)


def test_ssd_rows_find_their_picture():
    first = raw_answers.ssd(BOXES[:2], SCORES[:2], SIZE, picture=0)[0][:, :, :3]
    second = raw_answers.ssd(BOXES[2:3], SCORES[2:3], SIZE, picture=1)[0]
    found = read([np.concatenate([first, second], axis=2)], decoder("ssd"), batch=3)
    assert [len(boxes.score) for boxes in found] == [2, 1, 0]
    assert found[1].xyxy == pytest.approx(BOXES[2:3], abs=1e-3)


CELLS = 735  # of 160 x 224 by strides 8, 16, 32


def ultralytics_of_the_right_size(boxes, scores):
    return raw_answers.ultralytics(boxes, scores, cells=CELLS)


LAYOUTS = {
    "raw": ultralytics_of_the_right_size,
    "turned over": lambda b, s: [ultralytics_of_the_right_size(b, s)[0].transpose(0, 2, 1)],
    "yolov5": lambda b, s: raw_answers.yolov5(b, s, 3 * CELLS),
    "with key points": lambda b, s: raw_answers.end_to_end(b, s, more=17 * 3),
    "with masks": lambda b, s: raw_answers.end_to_end(b, s, more=32),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_ultralytics_is_told_by_its_shape(layout):
    answers = [LAYOUTS[layout](BOXES[:count], SCORES[:count]) for count in (3, 0, 1)]
    together = [np.concatenate(parts) for parts in zip(*answers, strict=True)]
    found = read(together, decoder("ultralytics"), batch=3)
    assert [len(boxes.score) for boxes in found] == [3, 0, 1]
    assert found[0].xyxy == pytest.approx(BOXES[:3], abs=1e-3)
    assert found[0].score == pytest.approx(SCORES[:3], abs=1e-5)


@pytest.mark.parametrize("beyond", [1.5, 300.0, -0.5])
@pytest.mark.parametrize("kind", ["yolox", "ultralytics", "end_to_end", "ssd"])
def test_a_score_that_is_none_is_refused(kind, beyond):
    keys, encode = KINDS[kind]
    outputs = encode(BOXES[:1], SCORES[:1])
    of_persons = {"yolox": 6, "end_to_end": 4, "ssd": 2}
    if kind == "ultralytics":
        outputs[0][0, 5, 3] = beyond
    else:
        outputs[0][..., 1, of_persons[kind]] = beyond
    with pytest.raises(OutputError, match=r"a score is .*\[0, 1\]"):
        read(outputs, decoder(kind, **keys))


def test_a_score_a_little_above_one_is_rounding():
    outputs = raw_answers.end_to_end(BOXES[:1], np.float32([1.004]))
    (found,) = read(outputs, decoder("end_to_end"))
    assert found.score.tolist() == [1.0]


@pytest.mark.parametrize("kind", ["yolox", "ultralytics"])
def test_raw_kinds_are_suppressed(kind):
    twice = np.concatenate([BOXES[:2], BOXES[:2] + 2])
    keys, encode = KINDS[kind]
    (found,) = read(encode(twice, np.float32([0.5, 0.9, 0.8, 0.4])), decoder(kind, **keys))
    assert found.xyxy == pytest.approx(np.stack([BOXES[1], BOXES[0] + 2]), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_another_class_is_nobody(kind):
    keys, encode = KINDS[kind]
    (found,) = read(encode(BOXES, SCORES), decoder(kind, **keys).model_copy(update={"person_class": 0}))
    assert len(found.score) == 0


@pytest.mark.parametrize(
    ("kind", "shapes", "says"),
    [
        ("yolox", [(1, 100, 8)], r"\(1, 735, any\)"),  # cells of 160 x 224
        ("yolox", [(1, 735, 6)], "1 classes"),
        ("yolox", [(1, 735, 8), (1, 2)], "and"),
        ("ultralytics", [(1, 84)], r"\(1, 84\)"),
        ("ultralytics", [(1, 5, 300)], "1 classes"),
        ("ultralytics", [(2, 84, 300)], r"\(1, any, any\)"),
        ("ultralytics", [(1, 85, 25200)], "a 160 x 224 input"),
        ("ultralytics", [(1, 25200, 85)], "a 160 x 224 input"),
        ("ultralytics", [(1, 735, 5)], "1 classes"),
        ("ultralytics", [(1, 2205, 6)], "1 classes"),
        ("end_to_end", [(1, 300, 7)], r"\(1, any, 6\)"),
        ("detr", [(1, 20, 4)], "logits"),
        ("detr", [(1, 20, 4), (1, 20, 4), (1, 20, 3)], "logits"),
        ("detr", [(1, 20, 3), (1, 21, 4)], "logits"),
        ("detr", [(2, 20, 3), (2, 20, 4)], r"boxes \(1,"),
        ("detr", [(1, 20, 1), (1, 20, 4)], "1 classes"),
        ("ssd", [(1, 100, 7)], r"\(1, 1, any, 7\)"),
    ],
)
def test_other_shapes_are_refused_with_what_was_found(kind, shapes, says):
    with pytest.raises(TensorError, match=says):
        read([np.zeros(shape, np.float32) for shape in shapes], decoder(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_number_is_refused(kind):
    keys, encode = KINDS[kind]
    outputs = [np.full_like(array, np.nan) for array in encode(BOXES, SCORES)]
    if kind == "ssd":
        outputs[0][..., 0] = 0
    with pytest.raises(OutputError):
        read(outputs, decoder(kind, **keys))


def test_a_box_that_is_not_finite_is_refused():
    outputs = raw_answers.end_to_end(BOXES, SCORES)
    outputs[0][0, 1, 2] = np.inf
    with pytest.raises(OutputError, match="box"):
        read(outputs, decoder("end_to_end"))


@pytest.mark.parametrize("seed", range(20))
def test_suppression_keeps_the_same_rows_as_every_pair_compared(seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (80, 2))], axis=1).astype(np.float32)
    scores = rng.choice(np.linspace(0.1, 1, 25), 80).astype(np.float32)  # with ties
    max_iou = float(rng.uniform(0.05, 0.5))

    kept = nms(boxes, scores, max_iou)

    assert kept.tolist() == every_pair.nms(boxes.astype(float), scores, max_iou)
    assert 0 < len(kept) < 80


def test_suppression_of_nobody():
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5).tolist() == []


def test_suppressed_boxes_without_area_do_no_harm():
    boxes = np.float32([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]])
    assert nms(boxes, np.float32([0.9, 0.8, 0.7]), 0.5)[0] == 0
