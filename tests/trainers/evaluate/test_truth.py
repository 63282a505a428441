import json
from datetime import UTC, datetime
from fractions import Fraction

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.common import REFUSED_INPUT
from pipeline.deliver.events import trial_event
from pipeline.errors import InputError
from trainers.evaluate.cli import app
from trainers.evaluate.frames import play
from trainers.evaluate.hits_file import read_hits
from trainers.evaluate.truth import clip_facts, read_enrolled, read_labels, read_presence, read_truth

HEAD = "stream_id,person_id,start_s,end_s,visible_s,max_height_px\n"


def write_clip(path, frames=20, fps=10, size=(64, 48)):
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height = size
        for shade in range(frames):
            image = np.full((size[1], size[0], 3), shade, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(video.encode(None))


@pytest.fixture
def folder(tmp_path):
    write_clip(tmp_path / "hall.mp4")
    (tmp_path / "hall.gt.txt").write_text(
        "1,3,10,20,30,40,1,1,1\n6,3,12,20,30,40,1,1,0.5\n11,4,0,0,9,9,0,1,1\n"
    )
    return tmp_path


def event(**changes):
    data = {
        "hit_id": "h", "revision": 1, "state": "opened", "stream_id": "hall", "identity": {"id": "3"},
        "first_pts_s": 0.0, "last_pts_s": 0.5, "decided_pts_s": 0.4,
        "best": {"pts_s": 0.1, "box": [10, 20, 40, 60]},
    }  # fmt: skip
    return {"specversion": "1.0", "id": "h-1", "type": "musewatch.hit.opened", "data": {**data, **changes}}


def test_labels_alone(folder):
    (hall,) = read_truth(folder)
    assert hall.seconds == pytest.approx(2.0)
    assert [(stay.person_id, stay.start_s, stay.end_s) for stay in hall.appearances] == [("3", 0.0, 0.5)]
    assert hall.labels["3"].boxes.tolist() == [[10, 20, 40, 60], [12, 20, 42, 60]]
    assert "4" not in hall.labels, "conf 0 is to be ignored"
    assert len(hall.ignored.times_s) == 1


def test_presence_wins_and_names_the_numbers(folder):
    (folder / "presence.csv").write_text(
        HEAD
        + "hall,p3,0.0,1.9,1.8,90\nhall,p4,0.0,1.9,0.9,90\nhall,p5,0.0,1.9,1.8,59\nyard,p3,4.0,6.5,2.0,60\n"
    )
    hall, yard = read_truth(folder)
    assert [(stay.person_id, stay.end_s) for stay in hall.appearances] == [("p3", 1.9)]
    assert list(hall.labels) == ["p3"]
    assert (yard.seconds, len(yard.appearances), yard.labels) == (6.5, 1, {})
    assert read_enrolled(folder, (hall, yard)) == {"p3"}
    (folder / "enrol").mkdir()
    (folder / "enrol" / "p9.jpg").touch()
    assert read_enrolled(folder, (hall, yard)) == {"p9"}


def test_clip_without_labels_has_nobody_in_it(folder):
    write_clip(folder / "cars.mp4", frames=5)
    cars, _ = read_truth(folder)
    assert (cars.appearances, cars.labels, cars.seconds) == ((), {}, pytest.approx(0.5))


def test_labels_without_a_clip_need_a_rate(folder):
    (folder / "hall.mp4").unlink()
    with pytest.raises(InputError, match=r"hall\.mp4 is not beside it.*--fps"):
        read_truth(folder)
    (hall,) = read_truth(folder, fps=5.0)
    assert hall.appearances[0].end_s == pytest.approx(1.0)


@pytest.mark.parametrize(
    "line", ["1,3,10,20,30", "1,3,10,20,x,40,1,1,1", "0,3,10,20,30,40,1,1,1", "1,3,10,20,0,40,1,1,1",
             "1,3,nan,20,30,40,1,1,1", "1,inf,1,20,30,40,1,1,1", "1e300,3,1,20,30,40,1,1,1",
             "1,1e30,1,20,30,40,1,1,1", "1,3,1e300,20,30,40,1,1,1", "1.5,3,1,20,30,40,1,1,1",
             "1,3,1,20,30,40,1,0.5,1", "1,3,10,20,30,40,nan,1,1"],
)  # fmt: skip
def test_broken_labels_are_named_by_line(tmp_path, line):
    (tmp_path / "a.gt.txt").write_text("1,3,10,20,30,40,1,1,1\n\n" + line + "\n")
    with pytest.raises(InputError, match=r"a\.gt\.txt, line 3: not a label"):
        read_labels(tmp_path / "a.gt.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stream_id,person_id\nhall,p1\n", "no column start_s, end_s, visible_s, max_height_px"),
        (HEAD + "hall,p1,0,soon,1,100\n", "line 2: end_s: a number is missing or wrong"),
        (HEAD + "hall,p1,0\n", "line 2: end_s: a number is missing or wrong"),
        (HEAD + "hall,p1,0,nan,1,100\n", "line 2: end_s: a number is missing or wrong"),
        (HEAD + "hall,p1,0,1e300,1,100\n", "line 2: end_s: a number is missing or wrong"),
        (HEAD + "hall,p1,9,1,1,100\n", "line 2: it ends before it starts"),
        (HEAD + "hall,p1,0,1,-1,100\n", "line 2: it ends before it starts, or has a size below 0"),
        (HEAD + f"hall,{'p' * 200_000},0,1,1,100\n", "presence.csv: not CSV: field larger"),
    ],
)
def test_broken_presence(tmp_path, text, message):
    (tmp_path / "presence.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_presence(tmp_path / "presence.csv")


def test_what_is_not_truth(tmp_path):
    with pytest.raises(InputError, match="neither labels"):
        read_truth(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        read_truth(tmp_path / "nowhere")
    (tmp_path / "a.mp4").write_bytes(b"not a video at all")
    with pytest.raises(InputError, match="cannot be read as a video"):
        clip_facts(tmp_path / "a.mp4")


def test_command_counts_and_prints_one_document(folder):
    hits = folder / "hits.jsonl"
    lines = [event(), trial_event("hall", datetime.now(UTC)), event(hit_id="g", stream_id="roof")]
    hits.write_text("\n".join(map(json.dumps, lines)) + "\n")
    result = CliRunner().invoke(app, ["alerts", str(hits), "--truth", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["hits"], answer["right"], answer["wrong"], answer["missed"]) == (2, 1, 1, 0)
    assert (answer["precision"], answer["recall"]) == (0.5, 1.0)
    assert answer["time_to_first_hit_s"] == {"median": 0.4, "p90": 0.4}
    assert answer["identities"] == [
        {"id": "3", "clip": "hall", "right": 1, "wrong": 0, "missed": 0, "retracted": 0, "ignored": 0},
        {"id": "3", "clip": "roof", "right": 0, "wrong": 1, "missed": 0, "retracted": 0, "ignored": 0},
    ]
    assert "no stream 'roof'" in result.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: not an event"),
        (
            json.dumps({"type": "musewatch.hit.opened", "id": "x", "data": {}}),
            "line 1: data.best: Field required",
        ),
        (json.dumps(event(best={"pts_s": 0, "box": [1, 2, 3]})), "line 1: data.best.box.3: Field required"),
        (json.dumps(event(decided_pts_s=1e300)), "line 1: data.decided_pts_s: Input should be less"),
        (json.dumps(event(first_pts_s=float("nan"))), "line 1: NaN is not a number"),
        (json.dumps(event(revision=10**30)), "line 1: data.revision: Input should be less"),
        ('{"type": "x", "data": ' + "9" * 5000 + "}", "line 1: a number of more than 64 characters"),
        ('{"type": "x", "data": 1e999}', "line 1: 1e999 is too large a number"),
        ('{"type": "x", "data": "\\ud800"}', "line 1: a text with half of a character"),
        ("[" * 100_000, "line 1: nested deeper than 64 times"),
        ('{"type": "x", "data": ' + "[" * 99 + "]" * 99 + "}", "line 1: nested deeper than 64 times"),
        ("\n" + json.dumps({"type": 1}), "line 2: not an event"),
    ],
)
def test_broken_hits_are_refused(folder, line, message):
    hits = folder / "hits.jsonl"
    hits.write_text(line + "\n")
    result = CliRunner().invoke(app, ["alerts", str(hits), "--truth", str(folder)])
    assert isinstance(result.exception, InputError)
    assert result.exception.exit_code == REFUSED_INPUT
    assert message in str(result.exception)


def test_a_line_of_hits_ends_at_lf_alone(folder):
    hits = folder / "hits.jsonl"
    names = ["A\u2028B", "A\x85B", "A\x1cB\u2029C"]
    events = [event(hit_id=name, identity={"id": "3", "name": name}) for name in names]
    hits.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in events), encoding="utf-8")
    assert [hit.hit_id for hit in read_hits(hits)] == names


def test_only_class_1_is_a_person(tmp_path):
    path = tmp_path / "a.gt_ids.txt"

    def people(*classes):
        rows = (f"1,{n},0,0,9,9,1" + (f",{kind},1" if kind != "" else "") for n, kind in enumerate(classes))
        path.write_text("\n".join(rows))
        labels = read_labels(path)
        assert len(labels) == len(labels.people)
        return [label.number for label in labels]

    assert people(1, 3, 1, 8) == [0, 2]
    assert people(-1, -1, 0) == [0, 1, 2]
    assert people("", "") == [0, 1]
    assert people(1, -1, 0) == [0]
    with pytest.raises(InputError, match="rows of class 0, 2, none of class 1"):
        people(0, 2)


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_label_is_of_the_time_of_its_own_picture(tmp_path, b_frames):
    """A recording that stood still for three seconds, and one whose pictures come unevenly."""
    stamps_ms = [0, 100, 230, 300, 3400, 3450, 3600]
    with av.open(str(tmp_path / "hall.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.max_b_frames = b_frames
        for stamp in stamps_ms:
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="bgr24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    rows = [f"{number},1,10,10,20,40,1,-1,-1" for number in range(1, 9)]
    (tmp_path / "hall.gt_ids.txt").write_text("\n".join(rows))
    (hall,) = read_truth(tmp_path)
    seen = [frame.pts_s for frame in play(tmp_path / "hall.mp4")]
    assert hall.labels["1"].times_s[:7] == pytest.approx(seen, abs=1e-3)
    assert seen == pytest.approx([stamp / 1000 for stamp in stamps_ms], abs=2e-3)
    assert hall.labels["1"].times_s[7] > seen[-1]
    assert hall.seconds > 3.6
