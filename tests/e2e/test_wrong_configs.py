"""Wrong configs, command lines and engines: each stops the start with one clear message and exit code 2."""

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from engines.testing import brightness_network, stripe_embedder, write_engine
from pipeline.cli.main import main
from tests.support.pictures import RED
from tests.support.walks import walk, write_walk

STREAM: dict[str, Any] = {"id": "clip", "source": {"use": "file", "path": "walk.mp4", "pace": "fast"}}
BASE: dict[str, Any] = {
    "version": 1,
    "streams": [STREAM],
    "detector": {"use": "hog"},
    "embedder": {"use": "onnx", "engine": "engine/tiny.yaml"},
    "sinks": [{"use": "jsonl", "path": "hits.jsonl"}],
    "telemetry": {"listen": None},
}
POINT = {"max_distance": 0.2, "chosen_on": "drawn people"}
BOXES = {"output": np.zeros((1, 5, 6), np.float32)}


def keys(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**BASE, **changes}.items() if value is not ...}


def stream(**changes: Any) -> dict[str, Any]:
    return keys(streams=[STREAM | changes])


def source(**changes: Any) -> dict[str, Any]:
    return stream(source=changes)


CONFIGS: dict[str, tuple[dict[str, Any] | str | bytes, str]] = {
    "nothing": ("", "c.yaml: expected keys and values. start with 'version: 1'"),
    "a list": ("- version: 1\n", "expected keys and values"),
    "no YAML": ("version: 1\nstreams: [\n", "c.yaml, line 3, column 1: "),
    "a tab": ("version: 1\n\tsite: a\n", "c.yaml, line 2, column 1: "),
    "Latin-1": ("site: Zürich\n".encode("latin-1"), "c.yaml, line 1: not a file, which is text in UTF-8"),
    "no version": (keys(version=...), "c.yaml: version: Field required"),
    "a later version": (keys(version=2), "version: Input should be 1"),
    "an unknown key": (keys(streems=[]), "c.yaml: streems: unknown key; did you mean 'streams'?"),
    "an unknown key below": (
        keys(decision={"cooldown": 3}),
        "decision.cooldown: unknown key; did you mean 'cooldown_s'?",
    ),
    "a plugin's unknown key": (
        keys(detector={"use": "hog", "min_scor": 1}),
        "detector: min_scor: unknown key; did you mean 'min_score'?",
    ),
    "an unknown plugin": (
        keys(tracker={"use": "bytetrak"}),
        "no tracker is called 'bytetrak'; known: appearance, boxmot, bytetrack",
    ),
    "a role without use": (keys(tracker={}), "tracker.use: Field required"),
    "a role as a word": (keys(detector="hog"), "detector: expected keys and values, such as {use: NAME}"),
    "an unknown index": (keys(matcher={"index": {"use": "fais"}}), "no index is called 'fais'"),
    "an unknown bus": (keys(bus={"use": "pigeons"}), "no bus is called 'pigeons'"),
    "no streams": (
        keys(streams=...),
        "there are no streams. list them under 'streams', or give --stream ID=URL",
    ),
    "streams as a mapping": (keys(streams={"door": STREAM}), "streams: expected a list"),
    "two streams of one name": (keys(streams=[STREAM, STREAM]), "streams: two streams are called clip"),
    "a stream in capitals": (stream(id="Door"), "streams.0.id: "),
    "a stream without a source": (keys(streams=[{"id": "a"}]), "streams.0.source: Field required"),
    "a zone of two corners": (stream(zones=[[[0, 0], [1, 1]]]), "streams.0.zones.0: "),
    "a zone in pixels": (
        stream(zones=[[[0, 0], [640, 0], [640, 480]]]),
        "streams.0.zones.0.1.0: Input should be less than or equal to 1",
    ),
    "a source without its path": (source(use="file"), "streams.clip.source: path: Field required"),
    "a pace that is none": (source(use="file", path="walk.mp4", pace="slow"), "streams.clip.source: pace: "),
    "a span that ends first": (
        source(use="file", path="walk.mp4", skip=[[5, 4]]),
        "a span must end after it starts: [5.0, 4.0]",
    ),
    "a web address for RTSP": (source(use="rtsp", url="http://cam/1"), "streams.clip.source: url: "),
    "credentials twice": (
        source(use="rtsp", url="rtsp://u:p@cam/1", user="u", password="p"),
        "credentials both in the URL and in user and password",
    ),
    "a variable that is not set": (
        source(use="rtsp", url="${NOT_SET_ANYWHERE}"),
        "streams.0.source.url: the environment variable NOT_SET_ANYWHERE is not set. export ",
    ),
    "a secret file that is not there": (
        source(use="rtsp", url="${file:secret}"),
        "cannot be read. create it, or correct the path",
    ),
    "a distance below 0": (
        keys(decision={"max_distance": -1}),
        "decision.max_distance: Input should be greater than 0",
    ),
    "a distance in words": (keys(decision={"max_distance": "far"}), "decision.max_distance"),
    "a margin in words": (keys(decision={"margin": "wide"}), "decision.margin: "),
    "an address without a port": (keys(telemetry={"listen": "127.0.0.1"}), "telemetry.listen: "),
    "hits into a folder": (
        keys(sinks=[{"use": "jsonl", "path": "engine"}]),
        "engine is a folder, not a file. give the path of a file",
    ),
    "Kafka without a broker": (keys(sinks=[{"use": "kafka"}]), "sinks.0: bootstrap: Field required"),
    "a webhook to nowhere": (keys(sinks=[{"use": "webhook", "url": "example"}]), "sinks.0: url: "),
    "three pauses": (keys(runner={"backoff_s": [1, 2, 3]}), "runner.backoff_s"),
    "an engine that is not there": (keys(embedder={"use": "onnx", "engine": "nowhere.yaml"}), "nowhere.yaml"),
    "an engine that is not named": (keys(embedder={"use": "onnx"}), "embedder: engine: Field required"),
}


def changed(**manifest: Any) -> Callable[[Path], object]:
    """An engine with other words in its manifest; None takes a key away."""
    return lambda folder: write_engine(
        folder, stripe_embedder((64, 32)), **{"operating_point": POINT, **manifest}
    )


def network(data: bytes) -> Callable[[Path], object]:
    """An engine that is another file, with the digest of that file."""
    return lambda folder: write_engine(folder, data, operating_point=POINT)


def damaged(folder: Path) -> None:
    changed()(folder)
    (folder / "tiny.onnx").write_bytes((folder / "tiny.onnx").read_bytes()[:-1])


def absent(folder: Path) -> None:
    changed()(folder)
    (folder / "tiny.onnx").unlink()


def scribbled(folder: Path) -> None:
    folder.mkdir()
    (folder / "tiny.yaml").write_text("name: [tiny\n", encoding="utf-8")


ENGINES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another file than the digest's": (damaged, "tiny.onnx has sha256 "),
    "no file": (absent, "tiny.onnx cannot be read: No such file or directory"),
    "a manifest that is no YAML": (scribbled, "tiny.yaml"),
    "no digest": (changed(sha256=None), "sha256"),
    "half a digest": (changed(sha256="abc"), "sha256"),
    "an unknown word in the manifest": (changed(licens="MIT"), "licens"),
    "another schema": (changed(schema="musewatch.engine/9"), "schema"),
    "a detector as embedder": (
        changed(role="detector", decoder={"kind": "yolox", "strides": [8]}),
        "engine tiny is no embedder",
    ),
    "an unknown resize": (
        changed(preprocess={"colour": "bgr", "resize": "squeeze", "size": [64, 32]}),
        "resize",
    ),
    "another size than the network's": (
        changed(preprocess={"colour": "bgr", "resize": "stretch", "size": [96, 48]}),
        "engine tiny: the network's input is 'pictures' (any, 3, 64, 32) float32, the manifest makes",
    ),
    "a distance of 3": (changed(operating_point={"max_distance": 3, "chosen_on": "x"}), "max_distance"),
    "no operating point": (
        changed(operating_point=None),
        "decision.max_distance is auto, but the embedder 'onnx' has no operating point",
    ),
    "a pickle": (network(pickle.dumps({"weights": 1})), "is a pickle, which can run code when it is opened"),
    "no network": (network(b"not a network at all"), "onnxruntime cannot load it"),
    "a path that climbs": (changed(file="../tiny.onnx"), "file"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_walk(tmp_path / "walk.mp4", walk(5, RED))
    return tmp_path


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `run` and `run --json` say when they refuse to start."""
    capsys.readouterr()
    assert main(["run", str(folder / "c.yaml"), *options]) == 2
    plain = capsys.readouterr()
    assert plain.out == ""
    assert plain.err.startswith("musewatch: ")
    assert "Traceback" not in plain.err

    assert main(["run", str(folder / "c.yaml"), *options, "--json"]) == 2
    as_json = capsys.readouterr()
    document = json.loads(as_json.out)
    assert plain.err == as_json.err == f"musewatch: {document['error']}\n"
    assert document["ok"] is False
    assert not (folder / "hits.jsonl").exists()
    return plain.err


def write(folder: Path, config: dict[str, Any] | str | bytes) -> None:
    text = yaml.safe_dump(config) if isinstance(config, dict) else config
    (folder / "c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_the_config_that_they_are_made_of_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed()(folder / "engine")
    write(folder, BASE)
    assert main(["run", str(folder / "c.yaml"), "--json"]) == 0
    (counts,) = json.loads(capsys.readouterr().out)["streams"]
    assert counts["frames_inferred"] == 5


@pytest.mark.parametrize("case", CONFIGS)
def test_a_wrong_config(folder: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    config, message = CONFIGS[case]
    changed()(folder / "engine")
    write(folder, config)
    assert message in refused(folder, capsys)


@pytest.mark.parametrize("case", ENGINES)
def test_a_wrong_engine(folder: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    make, message = ENGINES[case]
    make(folder / "engine")
    write(folder, BASE)
    assert message in refused(folder, capsys)


def test_a_detector_whose_answer_is_not_what_its_decoder_reads(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed()(folder / "engine")
    data = brightness_network(BOXES, (64, 32))
    decoder = {"kind": "yolox", "strides": [8, 16, 32], "person_class": 0}
    write_engine(folder / "detector", data, role="detector", decoder=decoder)
    write(folder, keys(detector={"use": "onnx", "engine": "detector/tiny.yaml"}))
    assert "engine tiny: " in refused(folder, capsys)


OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "a stream without an address": (("--stream", "door"), "--stream 'door' is not ID=URL"),
    "a stream with a wrong name": (("--stream", "Door=walk.mp4"), "streams.1.id: "),
    "a duration in words": (("--duration", "long"), "Invalid value for '--duration'"),
    "a duration below 0": (("--duration", "-1"), "Invalid value for '--duration'"),
    "an unknown option": (("--durations", "1"), "No such option"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option(folder: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    options, message = OPTIONS[case]
    changed()(folder / "engine")
    write(folder, BASE)
    assert message in refused(folder, capsys, *options)


def test_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no file" in refused(folder, capsys)


def test_a_digest_is_told_so_that_it_can_be_compared(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(folder / "engine")
    write(folder, BASE)
    found = hashlib.sha256((folder / "engine" / "tiny.onnx").read_bytes()).hexdigest()
    assert found in refused(folder, capsys)
