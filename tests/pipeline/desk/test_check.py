"""`musewatch check`: what a run would stumble over, and what each stream shows."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from engines.testing import stripe_embedder, write_engine
from pipeline.cli.main import main
from pipeline.config import parse_config
from pipeline.desk.check import check
from pipeline.errors import StreamError
from pipeline.messages import Frame
from pipeline.testing import ListSource, StuckSource, frame
from tests.pipeline.runner.rig import SCRIPTS, clip, play, plug_in
from tests.servers.ports import free_port
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE, RED, person, scene
from tests.support.walks import HEIGHT_PX


class Site:
    """A folder with a config of scripted streams, and `check` on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def configure(self, *streams: str, **parts: Any) -> dict[str, Any]:
        document = {
            "version": 1,
            "streams": [{"id": name, "source": {"use": "scripted", "plays": name}} for name in streams],
            "detector": {"use": "drawn", "min_height_px": 10},
            "embedder": {"use": "colour"},
            "telemetry": {"listen": None},
            **parts,
        }
        (self.folder / "c.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        return document

    def check(self, *options: str) -> tuple[int, Any]:
        code = main(["check", str(self.folder / "c.yaml"), *options, "--json"])
        return code, json.loads(self._capsys.readouterr().out)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    plug_in(monkeypatch)
    play("door", clip(30, RED, BLUE))
    return Site(tmp_path, capsys)


def test_a_config_that_works(site: Site) -> None:
    site.configure("door")
    code, answer = site.check()
    assert (code, answer["ok"], answer["problems"]) == (0, True, [])
    (stream,) = answer["streams"]
    assert (stream["id"], stream["frame_size"], stream["people"]) == ("door", [320, 200], 2)
    assert stream["heights_px"] == [HEIGHT_PX] * 2
    assert stream["notes"] == []
    assert not (site.folder / "data").exists()


def test_what_a_source_says_of_its_opening_is_a_note(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    class Falling(ListSource):
        note: str | None = None

        def frames(self) -> Iterator[Frame]:
            self.note = "rtsp://u:hunter2@cam/1: UDP is used"
            yield from super().frames()

    SCRIPTS["door"] = lambda: Falling(clip(30, RED))
    site.configure("door")
    code, answer = site.check()
    assert (code, answer["streams"][0]["notes"]) == (0, ["rtsp://***@cam/1: UDP is used"])
    main(["check", str(site.folder / "c.yaml")])
    assert "rtsp://***@cam/1: UDP is used\n" in capsys.readouterr().err


def test_the_same_in_words(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.configure("door")
    assert main(["check", str(site.folder / "c.yaml")]) == 0
    assert capsys.readouterr().out == "door: 320x200, in view: 120 px, 120 px\nok\n"


def test_a_picture_of_each_stream_has_boxes_around_its_people(site: Site) -> None:
    play("yard", [replace(frame(0, scene(person(160, RED))), epoch="e1")])
    site.configure("door", "yard")
    _, answer = site.check("--snapshot", str(site.folder / "shots"))
    assert [Path(path).name for path in answer["snapshots"]] == ["door.jpg", "yard.jpg"]
    assert {Path(path).stat().st_mode & 0o777 for path in answer["snapshots"]} == {0o600}
    image = CODEC.decode((site.folder / "shots" / "yard.jpg").read_bytes()).astype(int)
    green = (
        (image[..., 1] > 150) & (image[..., 1] > image[..., 0] + 60) & (image[..., 1] > image[..., 2] + 60)
    )
    rows, columns = np.nonzero(green)
    box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    np.testing.assert_allclose(box, (20, 20, 100, 180), atol=3)
    assert not green[30:170, 30:90].any()  # a line around, nothing inside


def test_a_stream_that_cannot_be_opened_is_named_and_the_others_are_shown(site: Site) -> None:
    play("yard", [StreamError("rtsp://a:hunter2@cam/1: refused", "check the address")], live=True)
    site.configure("yard", "door")
    code, answer = site.check()
    assert (code, answer["ok"]) == (1, False)
    assert answer["problems"] == [
        {"where": "streams.yard", "problem": "rtsp://***@cam/1: refused", "fix": "check the address"}
    ]
    assert [stream["id"] for stream in answer["streams"]] == ["door"]


def test_a_stream_without_frames_is_named(site: Site) -> None:
    play("yard", [])
    site.configure("yard")
    _, answer = site.check()
    assert answer["problems"][0]["problem"] == "it opened but has no frames"


def test_silent_streams_are_waited_for_together(site: Site) -> None:
    silent = [StuckSource([]) for _ in range(4)]
    for i, source in enumerate(silent):
        SCRIPTS[f"s{i}"] = partial(next, iter([source]))
    config = parse_config(site.configure(*(f"s{i}" for i in range(4)), "door"), site.folder)
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(check(config, patience_s=1.5)))
    asking.start()
    asking.join(5.0)
    assert not asking.is_alive()
    for source in silent:
        source.release()
    problems, sights, _ = answers[0]
    assert [p.where for p in problems] == [f"streams.s{i}" for i in range(4)]
    assert problems[0].problem == "no frame within 2 s"
    assert [sight.stream_id for sight in sights] == ["door"]


def test_people_too_small_for_evidence_are_a_problem(site: Site) -> None:
    play("door", [replace(frame(0, scene(person(30, RED))), epoch="e1")])
    site.configure("door")
    code, answer = site.check()
    assert code == 1
    (problem,) = answer["problems"]
    assert (
        problem["problem"] == "the tallest person seen is 30 px, evidence starts at 48 px"
    )  # the embedder's
    assert problem["fix"]


def test_a_wrong_engine_is_named_beside_everything_else(site: Site) -> None:
    write_engine(site.folder / "engine", stripe_embedder((64, 32)), sha256="0" * 64)
    site.configure(
        "door",
        embedder={"use": "onnx", "engine": "engine/tiny.yaml"},
        sinks=[{"use": "nowhere"}],
        tracker={"use": "x"},
    )
    code, answer = site.check()
    assert code == 1
    assert [problem["where"] for problem in answer["problems"]] == ["embedder", "tracker", "sinks.0"]
    assert "tiny.onnx has sha256" in answer["problems"][0]["problem"]
    assert [stream["people"] for stream in answer["streams"]] == [2]


def test_an_engine_without_an_operating_point_is_named(site: Site) -> None:
    write_engine(site.folder / "engine", stripe_embedder((64, 32)))
    site.configure("door", embedder={"use": "onnx", "engine": "engine/tiny.yaml"})
    _, answer = site.check()
    assert [problem["where"] for problem in answer["problems"]] == ["decision.max_distance"]


def test_no_streams(site: Site) -> None:
    site.configure()
    _, answer = site.check()
    assert answer["problems"] == [
        {"where": "streams", "problem": "there are no streams", "fix": "list them under 'streams'"}
    ]


def test_a_config_that_cannot_be_read_ends_with_2_and_the_same_document(site: Site) -> None:
    site.configure(decision={"marginn": 1})
    code, answer = site.check()
    assert (code, answer["ok"]) == (2, False)
    (problem,) = answer["problems"]
    assert problem["where"] == "config"
    assert "did you mean 'margin'" in problem["problem"]


def test_sinks_that_cannot_be_reached_are_named(site: Site) -> None:
    (site.folder / "file").touch()
    nobody_there = f"http://127.0.0.1:{free_port()}/hook"
    site.configure(
        "door",
        sinks=[
            {"use": "jsonl", "path": "hits.jsonl"},
            {"use": "jsonl", "path": "file/hits.jsonl"},
            {"use": "webhook", "url": nobody_there},
        ],
    )
    code, answer = site.check()
    assert code == 1
    assert [problem["where"] for problem in answer["problems"]] == ["sinks.1", "sinks.2"]
    assert not (site.folder / "hits.jsonl").exists()


def test_a_sink_that_hangs_is_named_and_holds_up_neither_check_nor_trial(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.configure(
        "door", sinks=[{"use": "hanging"}, {"use": "jsonl", "path": "a.jsonl"}], outbox={"answer_s": 0.1}
    )
    code, answer = site.check()
    (problem,) = answer["problems"]
    assert (code, problem["where"]) == (1, "sinks.0")
    assert "has not answered" in problem["problem"]
    assert main(["hits", "test", "-c", str(site.folder / "c.yaml"), "--json"]) == 4
    sinks = json.loads(capsys.readouterr().out)["sinks"]
    assert [(row["sink"], row["ok"]) for row in sinks] == [("hanging", False), ("jsonl", True)]


def test_a_data_dir_that_cannot_be_written_is_named_and_a_run_ends_with_4(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    (site.folder / "data").touch()
    site.configure("door")
    (problem,) = site.check()[1]["problems"]
    assert problem["where"] == "data_dir"
    assert f"{site.folder / 'data'} is not a folder" in problem["problem"]
    assert main(["run", str(site.folder / "c.yaml")]) == 4
    assert f"the folder {site.folder / 'data'} cannot be made" in capsys.readouterr().err


@pytest.mark.parametrize("streams", [["door"], []], ids=["publishes", "identifies"])
def test_where_the_bus_leads_out_only_what_this_process_uses_is_opened(
    site: Site, streams: list[str]
) -> None:
    (site.folder / "file").touch()
    bus = {"use": "kafka", "bootstrap": f"127.0.0.1:{free_port()}", "timeout_s": 1}
    site.configure(*streams, bus=bus, sinks=[{"use": "jsonl", "path": "file/hits.jsonl"}])
    code, answer = site.check()
    assert code == 1
    assert [problem["where"] for problem in answer["problems"]] == (
        ["bus"] if streams else ["bus", "sinks.0"]
    )


def test_streams_that_would_share_a_process_are_shown_together(site: Site) -> None:
    for name in ("yard", "hall"):
        play(name, clip(30, RED))
    site.configure("door", "yard", "hall", processes=2)
    assert "processes: 2 groups of streams: door, hall | yard" in site.check()[1]["notes"]
    site.configure("door", "yard", "hall")
    assert not any("processes" in note for note in site.check()[1]["notes"])
