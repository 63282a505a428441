"""The demo as a newcomer runs it: real processes, RTSP on loopback, the repository's own clips."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import main
from trainers.evaluate.demo import free_ports, load_demo, over_rtsp, prepare, read_photos

CLIPS = Path(__file__).parents[2] / "configs" / "demo_clips"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What the demo left, and what it printed; run away from the checkout."""
    place = tmp_path_factory.mktemp("demo")
    program = "import sys; from pipeline.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "demo", "--out", "out", "--json"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=180, check=False)
    return place / "out", done


@pytest.mark.slow
def test_demo_ends_well_and_in_time(demo):
    out, done = demo
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["right"] >= 1
    assert summary["seconds"] < 180
    assert "Traceback" not in done.stderr
    assert "4/4" in done.stderr


@pytest.mark.slow
def test_demo_counts_as_evaluate_alerts_does(demo, capsys):
    out, _ = demo
    summary = json.loads((out / "summary.json").read_text())
    assert main(["evaluate", "alerts", str(out / "hits.jsonl"), "--truth", str(CLIPS), "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    for name in ("hits", "right", "wrong", "missed"):
        assert summary[name] == counted[name]
    rows = [{key: value for key, value in row.items() if key != "enrolled"} for row in summary["identities"]]
    assert rows == counted["identities"]
    assert {row["enrolled"] for row in summary["identities"]} == {"together"}


@pytest.mark.slow
def test_report_shows_every_hit(demo):
    out, _ = demo
    summary = json.loads((out / "summary.json").read_text())
    html = (out / "report.html").read_text(encoding="utf-8")
    assert html.count('<span class="badge">') == summary["hits"]
    assert html.count("data:image/jpeg;base64,") >= 6 + 2 * summary["hits"], "six enrolled, two for each hit"
    assert "musewatch engines fetch real" in html
    assert 'src="http' not in html


@pytest.mark.slow
def test_every_frame_of_the_cameras_arrived_on_their_own_time(demo):
    out, _ = demo
    events = [json.loads(line) for line in (out / "hits.jsonl").read_text().splitlines()]
    assert {event["data"]["stream_id"] for event in events} <= {"hall-1", "hall-2", "hall-3"}
    for event in events:
        assert 0 <= event["data"]["first_pts_s"] <= event["data"]["last_pts_s"] <= 44
        assert event["data"]["clock"] in {"arrival", "camera"}, "a live stream, not a file"


def test_streams_listen_on_ports_of_their_own(tmp_path):
    clips, config = over_rtsp(load_demo(), tmp_path)
    assert [path.name for path in clips.values()] == ["hall-1.mp4", "hall-2.mp4", "hall-3.mp4"]
    urls = [stream.source.settings["url"] for stream in config.streams]
    assert len(set(urls)) == 3
    assert all(url.startswith("rtsp://127.0.0.1:") for url in urls)
    assert len(set(free_ports(20))) == 20


def test_only_own_results_are_removed(tmp_path):
    _, config = over_rtsp(load_demo(), tmp_path)
    (tmp_path / "data" / "evidence").mkdir(parents=True)
    own = ["summary.json", "report.html", "data/watchlist.db", "data/outbox.db-wal", "data/evidence/00.jpg"]
    foreign = ["notes.txt", "data/diary.txt", "data/evidence/readme.md"]
    for name in own + foreign:
        (tmp_path / name).touch()
    (tmp_path / "hits.jsonl").write_text("{}")
    prepare(tmp_path, config)
    assert (tmp_path / "hits.jsonl").read_text() == "", "there is a file even when there is no hit"
    assert [name for name in own if (tmp_path / name).exists()] == []
    assert all((tmp_path / name).exists() for name in foreign)


def test_six_people_are_enrolled():
    photos = read_photos(CLIPS)
    assert [photo.id for photo in photos] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    assert all(photo.image.is_file() and photo.name for photo in photos)
