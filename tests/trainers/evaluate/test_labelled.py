import numpy as np
import pytest

from pipeline.errors import InputError
from tests.servers.clips import write_clip
from trainers.evaluate.labelled import read_labelled_clips, truth_for


def rows(number, first, last, left=10):
    return "".join(f"{frame},{number},{left + frame},20,30,60,1,1,1\n" for frame in range(first, last + 1))


@pytest.fixture
def folder(tmp_path):
    for name in ("a b", "c", "empty"):
        write_clip(tmp_path / f"{name}.mp4", 60)
    (tmp_path / "a b.gt_ids.txt").write_text(rows(1, 1, 41) + rows(2, 21, 51))
    (tmp_path / "c.gt_ids.txt").write_text(rows(1, 11, 31))
    return tmp_path


def test_people_of_different_clips_are_different_people(folder):
    labelled = read_labelled_clips(folder)
    people = [(person.id, person.number, person.stay.stream_id) for person in labelled.people]
    assert people == [("a-b-1", "1", "a b"), ("2", "2", "a b"), ("c-1", "1", "c")]
    assert labelled.truth["empty"].appearances == ()


def test_photo_is_at_a_quarter_and_the_run_begins_at_the_middle(folder):
    labelled = read_labelled_clips(folder)
    first = labelled.people[0]
    assert (first.photo_s, first.middle_s) == (1.0, 2.0)
    assert first.photo_box == (21.0, 20.0, 51.0, 80.0)
    shown, c, empty = truth_for(first, list(labelled.truth.values()))
    assert [(stay.person_id, stay.start_s, stay.end_s) for stay in shown.appearances] == [
        ("a-b-1", 2.0, 4.0),
        ("2", 2.0, 5.0),
    ]
    assert shown.labels["a-b-1"].times_s.min() == 2.0
    assert len(shown.labels["2"].times_s) == 31
    assert (shown.seconds, c.seconds, empty.seconds) == (
        pytest.approx(4.0),
        pytest.approx(6.0),
        pytest.approx(6.0),
    )


def test_sparse_labels_take_the_nearest_to_a_quarter(tmp_path):
    write_clip(tmp_path / "a.mp4", 60)
    (tmp_path / "a.gt_ids.txt").write_text(rows(7, 1, 1) + rows(7, 9, 9) + rows(7, 41, 41))
    (person,) = read_labelled_clips(tmp_path).people
    assert person.photo_s == pytest.approx(0.8)
    assert np.isclose(person.middle_s, 2.0)


@pytest.mark.parametrize("content", [None, ""])
def test_nobody_labelled_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"no \*\.mp4"):
        read_labelled_clips(tmp_path)
    write_clip(tmp_path / "a.mp4", 5)
    if content is not None:
        (tmp_path / "a.gt_ids.txt").write_text(content)
    with pytest.raises(InputError, match="nobody is labelled"):
        read_labelled_clips(tmp_path)
