import numpy as np
import pytest

from pipeline.messages import Detections
from tests.servers.clips import number_of, write_clip
from trainers.evaluate.sights import Sight, look, who_is_labelled, why_missed
from trainers.metrics.alerts import Appearance, PersonLabels, StreamTruth

STAY = Appearance("hall", "ann", 1.0, 5.0)
ENROLLED = {"ann": np.float32([1, 0]), "bob": np.float32([0, 1])}


def sight(pts_s, vector=None, who="ann", stream="hall"):
    return Sight(stream, who, pts_s, 100.0, None if vector is None else np.float32(vector))


class EvenFrames:
    """Finds somebody at the left, in frames of even number only."""

    def detect(self, frames):
        box = np.float32([[0, 0, 40, 90]])
        return [
            Detections(box, np.ones(1, np.float32)) if number_of(each.image) % 2 == 0 else Detections.empty()
            for each in frames
        ]


class Size:
    """The size of a crop as a unit vector."""

    dimension = 2

    def embed(self, crops):
        rows = np.array([crop.shape[:2] for crop in crops], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_look_says_who_was_found_in_which_frame(tmp_path):
    clip = write_clip(tmp_path / "hall.mp4", 20)
    times = np.arange(0, 2, 0.1)
    boxes = {"ann": (2, 2, 42, 92), "bob": (100, 0, 140, 90)}
    labels = {who: PersonLabels(times, np.float32([box] * 20)) for who, box in boxes.items()}
    stream = StreamTruth("hall", 2.0, (), labels)
    odd = look(clip, stream, EvenFrames(), Size(), every_s=0.2)
    assert len(odd) == 20, "ten frames, two people each"
    assert all(each.embedding is None for each in odd)
    even = look(clip, stream, EvenFrames(), Size(), every_s=0.4)
    assert [round(each.pts_s, 1) for each in even if each.person_id == "ann"] == [0.2, 0.6, 1.0, 1.4, 1.8]
    assert all((each.embedding is not None) == (each.person_id == "ann") for each in even)
    assert np.allclose(even[0].embedding, np.float32([90, 40]) / np.hypot(90, 40))


def test_labels_too_far_in_time_do_not_count():
    labels = {"ann": PersonLabels(np.array([1.0]), np.float32([[0, 0, 1, 1]])), "eve": PersonLabels(np.zeros(0), np.zeros((0, 4), np.float32))}  # fmt: skip  # noqa: E501
    assert list(who_is_labelled(labels, 1.2, 0.25)) == ["ann"]
    assert who_is_labelled(labels, 1.3, 0.25) == {}


@pytest.mark.parametrize(
    ("sights", "reason"),
    [
        # others, other streams and other times do not count
        (
            [sight(0.5, (1, 0)), sight(2, (1, 0), "bob"), sight(2, (1, 0), stream="yard")],
            "in no frame looked at",
        ),
        ([sight(2), sight(3)], "the detector found them in 0 of 2 frames"),
        ([sight(2, (0, 1)), sight(3)], "found in 1 of 2 frames looked at, but never nearer than 1.41"),
        ([sight(2, (0.9, 0.436))], "not followed for long enough"),
        ([sight(2, (0.6, 0.8))], "nearer to bob (0.63 against 0.89)"),
    ],
)
def test_reasons(sights, reason):
    assert reason in why_missed(STAY, sights, ENROLLED, 1.0)
