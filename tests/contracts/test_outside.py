"""The outside contract: the lines that must work as written, through the console script and nothing else."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import jsonschema
import pytest
import yaml

from engines.testing import brightness_network, stripe_embedder
from tests.oracles import raw_answers
from tests.servers.availability import need
from tests.servers.kafka import KafkaBroker
from tests.servers.rtsp import RtspServer

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "configs" / "demo_clips"
MUSEWATCH = Path(sys.executable).with_name("musewatch")

DETECTOR = """
{schema: musewatch.engine/1, name: yolox-nano, role: detector, file: yolox_nano.onnx, sha256: "...",
 licence: Apache-2.0, provenance: "...",
 preprocess: {colour: bgr, scale: 1.0, mean: [0, 0, 0], std: [1, 1, 1], resize: letterbox_top_left, pad: 114,
  size: [416, 416]},
 decoder: {kind: yolox, strides: [8, 16, 32], person_class: 0}}
"""
EMBEDDER = """
{schema: musewatch.engine/1, name: retail-0267, role: embedder, file: person-reidentification-retail-0267.ort.onnx,
 sha256: "...", licence: Apache-2.0, provenance: "...",
 preprocess: {colour: rgb, scale: 1.0, mean: [0, 0, 0], std: [1, 1, 1], resize: stretch, size: [256, 128]},
 max_batch: 1, operating_point: {max_distance: 0.85, chosen_on: "..."}}
"""
SECTION_3 = """
version: 1
site: north-hall
data_dir: ./data
streams:
  - id: door
    source: {use: rtsp, url: "rtsp://${CAM_USER}:${CAM_PASSWORD}@127.0.0.1:1/1", transport: tcp}
    zones: [[[0, 0.3], [1, 0.3], [1, 1], [0, 1]]]
  - {id: clip, source: {use: file, path: clip.mp4, pace: fast, skip: [[4.0, 9.5]]}}
detector: {use: onnx, engine: yolox_nano.yaml, min_score: 0.3, min_height_px: 40}
tracker: {use: appearance}
embedder: {use: onnx, engine: retail_0267.yaml}
matcher: {top_c: 40}
verifier: {use: distance}
masker: {use: box}
decision: {max_distance: auto, margin: 0.05, cooldown_s: 30}
bus: {use: memory}
outbox: {drain_s: 30}
evidence: {base_url: null, max_mb: 2048, max_age_days: 30}
sinks:
  - {use: jsonl, path: hits.jsonl}
telemetry: {listen: "127.0.0.1:9464"}
"""


def musewatch(
    *arguments: object, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 120
) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = subprocess.run(
        [MUSEWATCH, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=timeout_s,
        env={**os.environ, **(env or {})}, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert "\x1b[" not in done.stdout + done.stderr, "colour without a terminal"
    return done.returncode, done.stdout, done.stderr


def answer(*arguments: object, cwd: Path, code: int = 0, **more: Any) -> Any:
    """The one JSON document on stdout."""
    returned, out, err = musewatch(*arguments, cwd=cwd, **more)
    assert returned == code, err
    assert len(out.splitlines()) == 1, out
    return json.loads(out)


def with_digest(manifest: str, network: bytes, folder: Path, name: str) -> None:
    document = yaml.safe_load(manifest)
    (folder / document["file"]).write_bytes(network)
    digest = hashlib.sha256(network).hexdigest()
    (folder / name).write_text(manifest.replace('sha256: "..."', f'sha256: "{digest}"'))


def clip_config(folder: Path, **changes: Any) -> Path:
    """The demo's first camera, ten seconds of it, with networks that need no file."""
    source = {"use": "file", "path": str(CLIPS / "hall-1.mp4"), "pace": "fast", "skip": [[6, 44]]}
    document = {
        "version": 1,
        "site": "north-hall",
        "streams": [{"id": "hall-1", "source": source, "max_fps": 6}],
        "detector": {"use": "hog"},
        "embedder": {"use": "colour"},
        "sinks": [{"use": "jsonl", "path": "hits.jsonl"}],
        "telemetry": {"listen": None},
        **changes,
    }
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def enrol(folder: Path) -> None:
    for person in ("p1", "p2", "p4"):
        picture = f"{person}.jpg"
        shutil.copy(CLIPS / "enrol" / picture, folder)
        line = ("watchlist", "add", "-c", "c.yaml", "--id", person, "--image", picture, "--whole", "--json")
        added = answer(*line, cwd=folder)
        assert added["id"] == person
        assert added["enrolled"] == 1
        assert added["refused"] == []
        assert isinstance(added["warnings"], list)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder in which the main job has run once, and what `run --json` said."""
    folder = tmp_path_factory.mktemp("outside")
    clip_config(folder)
    enrol(folder)
    return folder, answer("run", "c.yaml", "--json", cwd=folder)


def events(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "hits.jsonl").read_bytes().splitlines()]


def test_check_opens_the_demo(tmp_path: Path) -> None:
    found = answer("check", ROOT / "configs" / "demo.yaml", "--json", cwd=tmp_path)
    assert found["ok"] is True
    assert found["problems"] == []


def test_run_ends_by_itself_and_says_what_it_did(ran: tuple[Path, Any]) -> None:
    folder, said = ran
    (stream,) = said["streams"]
    assert set(stream) >= {"id", "frames_in", "frames_inferred", "dropped", "reconnects"}
    assert (stream["id"], stream["frames_in"], stream["reconnects"]) == ("hall-1", 90, 0)
    assert stream["frames_in"] == stream["frames_inferred"] + stream["dropped"]
    opened = [e for e in events(folder) if e["data"]["state"] == "opened"]
    assert said["hits"] == len(opened) > 0
    assert said["outbox"] == 0


def test_every_event_keeps_to_the_published_schema(ran: tuple[Path, Any]) -> None:
    folder, _ = ran
    schema = answer("schema", "hit", cwd=folder)
    assert schema == json.loads((ROOT / "configs" / "schemas" / "hit-1.json").read_text())
    for event in events(folder):
        jsonschema.validate(event, schema)
        data = event["data"]
        assert event["id"] == f"{data['hit_id']}-{data['revision']}"
        assert event["source"] == "/north-hall/hall-1"
        assert event["type"] == f"musewatch.hit.{data['state']}"
        assert event["subject"] == data["identity"]["id"]
        assert event["partitionkey"] == data["stream_id"] == "hall-1"
        assert data["clock"] == "file"
        assert data["best"]["pts_s"] == pytest.approx(round(data["best"]["pts_s"] * 15) / 15, abs=1e-3)


def test_hits_are_opened_once_and_closed(ran: tuple[Path, Any]) -> None:
    folder, _ = ran
    lives: dict[str, list[Any]] = {}
    for event in events(folder):
        lives.setdefault(event["data"]["hit_id"], []).append(event["data"])
    for life in lives.values():
        assert [d["state"] for d in (life[0], life[-1])] == ["opened", "closed"]
        assert life[0]["revision"] == 1
        assert life[-1]["reason"] == "track_ended"
        revisions = [d["revision"] for d in life]
        assert revisions == sorted(set(revisions))
    tracks = [(d["epoch"], d["track_id"], d["identity"]["id"]) for (d, *_) in lives.values()]
    assert len(set(tracks)) == len(tracks)


def test_evidence_lies_under_its_hash(ran: tuple[Path, Any]) -> None:
    folder, _ = ran
    for event in events(folder):
        for picture in (event["data"]["best"]["crop"], event["data"]["best"]["frame"]):
            path = Path(url2pathname(urlparse(picture["uri"]).path))
            assert path.parent == folder / "data" / "evidence"
            assert hashlib.sha256(path.read_bytes()).hexdigest() == picture["sha256"] == path.stem


def test_the_same_clip_config_and_watchlist_give_the_same_events(
    ran: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, _ = ran
    clip_config(tmp_path)
    enrol(tmp_path)
    answer("run", "c.yaml", "--json", cwd=tmp_path)
    assert [e["id"] for e in events(tmp_path)] == [e["id"] for e in events(folder)]


def test_tail_reads_the_file_and_alerts_are_counted(ran: tuple[Path, Any]) -> None:
    folder, said = ran
    line = ("hits", "tail", "--file", "hits.jsonl", "--from-start", "--max", "1", "--json")
    assert answer(*line, cwd=folder) == events(folder)[0]
    counted = answer("evaluate", "alerts", "hits.jsonl", "--truth", CLIPS, "--json", cwd=folder)
    assert counted["right"] + counted["wrong"] == said["hits"]
    assert counted["right"] > 0


def test_the_watchlist_goes_out_and_comes_in_elsewhere(ran: tuple[Path, Any], tmp_path: Path) -> None:
    folder, _ = ran
    clip_config(tmp_path)
    answer("watchlist", "export", tmp_path / "w.zip", "-c", "c.yaml", "--json", cwd=folder)
    answer("watchlist", "import", "w.zip", "-c", "c.yaml", "--json", cwd=tmp_path)
    here, there = (
        answer("watchlist", "list", "-c", "c.yaml", "--json", cwd=place) for place in (folder, tmp_path)
    )
    assert (
        [i["id"] for i in there["identities"]] == [i["id"] for i in here["identities"]] == ["p1", "p2", "p4"]
    )


def test_a_test_event_goes_through_every_sink(ran: tuple[Path, Any], tmp_path: Path) -> None:
    clip_config(tmp_path)
    answer("hits", "test", "-c", "c.yaml", "--json", cwd=tmp_path)
    assert events(tmp_path)[0]["type"] == "musewatch.test"
    nowhere = {"use": "webhook", "url": "http://127.0.0.1:1/hits"}
    clip_config(tmp_path, sinks=[{"use": "jsonl", "path": "hits.jsonl"}, nowhere])
    answer("hits", "test", "-c", "c.yaml", "--json", cwd=tmp_path, code=4)


def test_the_manifests_and_the_config_of_the_contract_work_as_they_stand(tmp_path: Path) -> None:
    person = raw_answers.yolox(
        [(100, 60, 180, 300)], [0.9], (416, 416), (8, 16, 32), classes=80, person_class=0
    )
    network = brightness_network({"output": person[0]}, (416, 416), batch=1)
    with_digest(DETECTOR, network, tmp_path, "yolox_nano.yaml")
    with_digest(EMBEDDER, stripe_embedder((256, 128), batch=1), tmp_path, "retail_0267.yaml")
    for name in ("yolox_nano.yaml", "retail_0267.yaml"):
        answer("engines", "check", name, "--json", cwd=tmp_path)
    shutil.copy(CLIPS / "hall-1.mp4", tmp_path / "clip.mp4")
    (tmp_path / "c.yaml").write_text(SECTION_3)
    secrets = {"CAM_USER": "admin", "CAM_PASSWORD": "hunter22"}
    returned, out, err = musewatch("check", "c.yaml", "--json", cwd=tmp_path, env=secrets)
    assert returned == 1
    assert [problem["where"] for problem in json.loads(out)["problems"]] == ["streams.door"]
    assert "hunter22" not in out + err
    (tmp_path / "retail_0267.yaml").write_text(EMBEDDER.replace('"..."', f'"{"0" * 64}"', 1))
    assert musewatch("run", "c.yaml", cwd=tmp_path, env=secrets)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "missing.yaml"), 2),
        (("run", "c.yaml", "--no-such-option"), 2),
        (("no-such-command",), 2),
        (("watchlist", "add", "-c", "c.yaml", "--id", "x", "--image", "c.yaml", "--whole"), 3),
        (("hits", "tail", "--file", "c.yaml", "--from-start", "--max", "1"), 3),
        (("engines", "check", "c.yaml"), 2),
        (("engines", "fetch", "--list"), 0),
        (("engines", "fetch", "no-such-engine"), 2),
        (("engines", "fetch", "osnet-x0.25"), 2),
        (("engines", "fetch", "yolox-nano", "--from", "c.yaml"), 3),
        (("init", "-c", "c.yaml"), 2),
        (("plugins", "list"), 0),
    ],
)
def test_exit_codes(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    clip_config(tmp_path)
    assert musewatch(*arguments, cwd=tmp_path)[0] == code


def test_events_that_still_wait_end_with_4(tmp_path: Path) -> None:
    nowhere = {"use": "webhook", "url": "http://127.0.0.1:1/hits"}
    clip_config(tmp_path, sinks=[nowhere], outbox={"drain_s": 0.5})
    enrol(tmp_path)
    said = answer("run", "c.yaml", "--json", cwd=tmp_path, code=4)
    assert said["outbox"] > 0


def test_the_first_signal_drains(tmp_path: Path) -> None:
    source = {"use": "file", "path": str(CLIPS / "hall-1.mp4"), "pace": "real", "loop": 100}
    clip_config(tmp_path, streams=[{"id": "hall-1", "source": source, "max_fps": 2}])
    run = [MUSEWATCH, "run", "c.yaml", "--json"]
    with subprocess.Popen(
        run, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while "up" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["outbox"] == 0


@pytest.mark.rtsp
def test_a_camera_on_the_command_line(tmp_path: Path) -> None:
    clip_config(tmp_path)
    enrol(tmp_path)
    with RtspServer({"cam": CLIPS / "hall-1.mp4"}) as server:
        said = answer(
            "run", "c.yaml", "--stream", f"door={server.url('cam')}", "--duration", "12", "--json", cwd=tmp_path
        )  # fmt: skip
    door = next(stream for stream in said["streams"] if stream["id"] == "door")
    assert door["frames_inferred"] > 0


@pytest.mark.kafka
@pytest.mark.kcat
def test_kcat_reads_the_same_objects(tmp_path: Path) -> None:
    need("kcat")
    with KafkaBroker(tmp_path) as broker:
        kafka = {"use": "kafka", "bootstrap": broker.bootstrap, "topic": "musewatch.hits"}
        clip_config(tmp_path, sinks=[{"use": "jsonl", "path": "hits.jsonl"}, kafka])
        enrol(tmp_path)
        answer("run", "c.yaml", "--json", cwd=tmp_path)
        read = subprocess.run(
            ["kcat", "-C", "-b", broker.bootstrap, "-t", "musewatch.hits", "-e", "-q"], capture_output=True, check=True
        )  # fmt: skip
        assert read.stdout.splitlines() == (tmp_path / "hits.jsonl").read_bytes().splitlines()
        tail = (
            "hits",
            "tail",
            "--bootstrap",
            broker.bootstrap,
            "--topic",
            "musewatch.hits",
            "--from-start",
            "--max",
            "1",
        )
        assert answer(*tail, "--json", cwd=tmp_path) == events(tmp_path)[0]
