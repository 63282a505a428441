"""`evaluate clips` on a few seconds of the demo's hall, with the weightless networks."""

import json
from pathlib import Path

import av
import pytest
import yaml

from pipeline.cli.main import main
from tests.servers.clips import write_clip

DEMO = Path(__file__).parents[2] / "configs" / "demo_clips"
SECONDS = 14
CONFIG = {
    "version": 1,
    "detector": {"use": "hog", "min_height_px": 140},
    "embedder": {"use": "colour"},
    "sinks": [{"use": "jsonl", "path": "never.jsonl"}],
}


def cut_clip(source, target, seconds):
    """The first seconds of a clip, not encoded again; returns its number of frames."""
    with av.open(str(source)) as recorded, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(recorded.streams.video[0])
        packets = [p for p in recorded.demux(video=0) if p.dts is not None and p.pts * p.time_base < seconds]
        for packet in packets:
            packet.stream = stream
            container.mux(packet)
    return len(packets)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two people in one clip, and a clip with nobody in it."""
    place = tmp_path_factory.mktemp("footage")
    frames = cut_clip(DEMO / "hall-1.mp4", place / "hall.mp4", SECONDS)
    rows = [row.split(",") for row in (DEMO / "hall-1.gt.txt").read_text().splitlines()]
    kept = [",".join(row) for row in rows if row[1] in {"7", "2"} and int(row[0]) <= frames]
    (place / "hall.gt_ids.txt").write_text("\n".join(kept) + "\n")
    write_clip(place / "empty.mp4", 20, size=(640, 360))
    (place / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    return place


@pytest.mark.slow
def test_each_person_alone_and_together(folder, capsys):
    out = folder / "out"
    arguments = ["evaluate", "clips", str(folder), "-c", str(folder / "c.yaml"), "--out", str(out), "--json"]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "summary.json").read_text())
    rows = {(row["id"], row["enrolled"]): row for row in summary["identities"]}
    assert set(rows) == {("7", "alone"), ("7", "together"), ("2", "alone"), ("2", "together")}
    assert all(row["clip"] == "hall" for row in rows.values())
    assert (rows["7", "alone"]["right"], rows["7", "alone"]["missed"]) == (1, 0)
    assert (rows["7", "together"]["right"], rows["7", "together"]["wrong"]) == (1, 0)
    for name in ("right", "wrong", "missed"):
        assert summary[name] == sum(row[name] for row in rows.values())
        assert summary[name] == summary["alone"][name] + summary["together"][name]
    assert summary["hits"] == summary["right"] + summary["wrong"]
    assert max(rows["7", "alone"]["distances"]["right"]) <= 0.41
    assert (out / "enrol" / "7.jpg").is_file()
    report = (out / "report.html").read_text(encoding="utf-8")
    found = sum(row["right"] + row["wrong"] for row in rows.values() if row["enrolled"] == "together")
    assert report.count('<span class="badge">') == found
    assert "2 people looked for, 2 clips" in report
    assert not (folder / "never.jsonl").exists(), "the config's own sinks are left alone"
    assert not (folder / "data").exists(), "so is its data folder"


def test_folder_without_clips_is_refused(folder, tmp_path, capsys):
    arguments = [
        "evaluate",
        "clips",
        str(tmp_path),
        "-c",
        str(folder / "c.yaml"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 3
    assert "there is no *.mp4" in capsys.readouterr().err
