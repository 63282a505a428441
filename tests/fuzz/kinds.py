"""What comes from outside, kind by kind: valid inputs, how they are changed, and what may come of a changed one.

An input is taken or refused with an error of ours. What is taken must hold what its kind promises: it is the same after
another round, and within bounds.
"""

import io
import json
import math
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from engines.manifest import as_yaml, load_manifest
from pipeline import registry
from pipeline.bounds import MAX_EDGE_PX, MAX_PIXELS, MAX_STREAM_S
from pipeline.config import load_config, parse_config
from pipeline.deliver.events import encode, to_event, to_hit
from pipeline.deliver.tracklets import MAX_BYTES, from_message, to_message
from pipeline.errors import MusewatchError
from pipeline.jpeg import jpeg_size
from pipeline.messages import Hit, HitBest, HitDecision, HitIdentity, HitState
from pipeline.remote_bus import BusMessage
from pipeline.settings import PluginChoice
from pipeline.testing import tracklet
from pipeline.watchlist.contents import KEY, Contents
from pipeline.watchlist.exchange import export_watchlist, import_watchlist
from pipeline.watchlist.records import Identity, NewPicture, NewText
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.shared import read_row, to_row
from plugins.codec_opencv import OpenCVCodec
from tests.fuzz.mutate import changed, garbled
from tests.support.pictures import BLUE, GREEN, person
from trainers.evaluate.feature_set import read_features
from trainers.evaluate.hits_file import read_hits
from trainers.evaluate.truth import read_labels, read_presence

CODEC = OpenCVCodec(OpenCVCodec.Config(max_megapixels=4))
NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
ZOO = Path(__file__).parents[2] / "engines" / "zoo"
CHEAP = {
    "file",
    "rtsp",
    "folder",
    "jsonl",
    "webhook",
    "kafka",
    "memory",
    "appearance",
    "bytetrack",
    "exact",
    "distance",
    "box",
}

CONFIG = """
version: 1
site: north-hall
data_dir: ./data
streams:
  - id: door
    source: {use: rtsp, url: "rtsp://u:p@camera.example/1?token=t", transport: tcp, open_s: 5.0}
    zones: [[[0, 0.3], [1, 0.3], [1, 1], [0, 1]]]
    max_fps: 8
  - {id: clip, source: {use: file, path: clip.mp4, pace: fast, skip: [[4.0, 9.5]], loop: 2}}
  - {id: folder, source: {use: folder, path: pictures, fps: 10}}
detector: {use: onnx, engine: yolox_nano.yaml, min_score: 0.3, min_height_px: 40}
tracker: &tracker {use: appearance, lost_s: 1.0}
embedder: {use: colour}
matcher: {top_c: 40, index: {use: exact, block_rows: 1024}}
verifier: {use: distance}
masker: {use: box}
decision: {max_distance: auto, margin: 0.05, cooldown_s: 30}
bus: {use: kafka, bootstrap: "h:9092", timeout_s: 5, sasl: {mechanism: PLAIN, username: u, password: p}}
outbox: {drain_s: 30, batch: 100, max_mb: 512}
evidence: {base_url: null, max_mb: 2048, max_age_days: 30}
runner: {max_batch: 8, silent_s: 5.0, backoff_s: [0.5, 3.0]}
tracks: {crops: 5, ripe_s: 0.5, min_quality: 0.15}
sinks:
  - {use: jsonl, path: hits.jsonl}
  - {use: webhook, url: "https://h.example/hook?key=k", headers: {X: y}, timeout_s: 2}
telemetry: {listen: "127.0.0.1:9464"}
"""

HIT = Hit(
    "h", 1, HitState.OPENED, None, "door", "e", 7, HitIdentity("p3", "Anna \u2028 Å", 12), "visitor",
    3.1, 5.4, 5.5, NOW, "camera",
    HitBest(4.2, (768, 432), (382.5, 13.6, 514.7, 392.1), None, None, None),
    HitDecision(0.41, None, None, None, 1, 1, None, 0.85, None, ()), {"detector": "sha256:d", "embedder": None},
)  # fmt: skip


class NonsenseError(AssertionError):
    """Something was taken that does not hold what its kind promises."""


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        inputs: Valid ones, as bytes.
        change: Makes another of one of them.
        take: Reads one and looks at what came of it; anything but an error of ours is a finding.
    """

    inputs: Sequence[bytes]
    change: Callable[[random.Random, bytes], bytes]
    take: Callable[[bytes], None]


def kinds(folder: Path) -> dict[str, Callable[[], Kind]]:
    """What makes each kind; files go into `folder`."""
    return {
        "config": lambda: Kind([CONFIG.encode()], _change_yaml, lambda data: _take_config(data, folder)),
        "manifest": lambda: Kind(
            [path.read_bytes() for path in sorted(ZOO.glob("*.yaml"))],
            _change_yaml,
            lambda data: _take_manifest(data, folder),
        ),
        "hits": lambda: Kind(
            [encode(to_event(HIT, "hall"))], _change_json, lambda data: _take_hits(data, folder)
        ),
        "event": lambda: Kind([encode(to_event(HIT, "hall"))], _change_json, _take_event),
        "tracklet": lambda: Kind(_tracklets(), _change_json, _take_tracklet),
        "row": lambda: Kind(_rows(folder), _change_json, _take_row),
        "zip": lambda: _zips(folder),
        "npz": lambda: Kind(_feature_files(), _change_zip, lambda data: _take_npz(data, folder)),
        "jpeg": lambda: Kind(_jpegs(), garbled, _take_jpeg),
        "labels": lambda: Kind([_labels()], garbled, lambda data: _take_labels(data, folder)),
        "presence": lambda: Kind([_presence()], garbled, lambda data: _take_presence(data, folder)),
    }


def _change_yaml(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.4:
        return garbled(rng, data)
    document = changed(rng, yaml.load(data, yaml.CSafeLoader))
    try:
        return yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True, encoding="utf-8")
    except UnicodeEncodeError:  # half a character is written as an escape, in JSON, which is YAML too
        return json.dumps(document).encode()


def _change_json(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.3:
        return garbled(rng, data)
    return json.dumps(changed(rng, json.loads(data)), ensure_ascii=rng.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )


def _change_zip(rng: random.Random, data: bytes) -> bytes:
    """Bytes of the file, or of one member packed anew, in whatever way."""
    if rng.random() < 0.5:
        return garbled(rng, data)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(made, "w") as packed:
        names = archive.namelist()
        victim = rng.choice(names)
        method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        for name in names:
            content = archive.read(name)
            if name == victim:
                head, rest = content[:200], content[200:]
                content = _change_json(rng, content) if name.endswith(".json") else garbled(rng, head) + rest
            packed.writestr(name, content, method)
    return garbled(rng, made.getvalue()) if rng.random() < 0.3 else made.getvalue()


def _take_config(data: bytes, folder: Path) -> None:
    path = folder / "c.yaml"
    path.write_bytes(data)
    config = load_config(path)
    written = json.dumps(config.model_dump(mode="json"))
    again = parse_config(json.loads(written), folder)
    _need(json.dumps(again.model_dump(mode="json")) == written, "another round gives another config")
    choices = [("source", stream.source) for stream in config.streams]
    choices += [("sink", sink) for sink in config.sinks]
    choices += [("bus", config.bus), ("tracker", config.tracker), ("index", config.matcher.index)]
    for role, choice in choices:
        if choice.use in CHEAP:
            _settle(role, choice, folder)


def _settle(role: str, choice: PluginChoice, folder: Path) -> None:
    if choice.use in registry.known(role):
        registry.settings_of(registry.load(role, choice.use), choice, folder, role)


def _take_manifest(data: bytes, folder: Path) -> None:
    path = folder / "m.yaml"
    path.write_bytes(data)
    manifest = load_manifest(path)
    written = as_yaml(manifest)
    path.write_text(written, encoding="utf-8")
    _need(as_yaml(load_manifest(path)) == written, "another round gives another manifest")


def _take_hits(data: bytes, folder: Path) -> None:
    path = folder / "hits.jsonl"
    path.write_bytes(data)
    for hit in read_hits(path):
        _need(all(abs(t) <= MAX_STREAM_S for t in (hit.first_pts_s, hit.last_pts_s, hit.best_pts_s)), "times")
        _need(all(abs(edge) <= MAX_EDGE_PX for edge in hit.best_box), "box")


def _take_event(data: bytes) -> None:
    try:
        hit = to_hit(json.loads(data))
    except (ValueError, RecursionError) as error:  # what the member passes over
        raise MusewatchError(str(error)) from None
    encode(to_event(hit, "hall"))


def _tracklets() -> list[bytes]:
    small = tracklet(decided_pts_s=3.0)
    crop = small.best
    large = [person(90, shirt) for shirt in (GREEN, BLUE)]
    scene = small.scene.__class__(CODEC.encode(np.full((48, 64, 3), 90, np.uint8)), (64, 48))
    crops = tuple(
        crop.__class__(image, crop.box, crop.pts_s, crop.captured_at, 0.5, crop.embedding) for image in large
    )
    made = small.__class__(
        small.key,
        1,
        crops,
        scene,
        small.embedding,
        0.5,
        3.0,
        3.0,
        small.clock,
        {"detector": None, "embedder": "e"},
    )
    return [encode(to_message(made, site="hall", engine="sha256:e", asked_at=NOW, codec=CODEC))]


def _take_tracklet(data: bytes) -> None:
    arrival = from_message(data, CODEC)
    _need(arrival.tracklet.pixels <= MAX_PIXELS, "pixels")
    body = encode(
        to_message(
            arrival.tracklet, site=arrival.site, engine=arrival.engine, asked_at=arrival.asked_at, codec=CODEC
        )
    )
    _need(len(body) <= MAX_BYTES, "larger than a message")
    again = from_message(body, CODEC).tracklet
    _need(
        again.key == arrival.tracklet.key and again.decided_pts_s == arrival.tracklet.decided_pts_s, "round"
    )


def _people() -> list[tuple[Identity, list[Any]]]:
    pictures = [NewPicture(CODEC.encode(person(60, shirt)), NOW) for shirt in (GREEN, BLUE)]
    return [
        (Identity("p1", "Zoé", "visitor", NOW, NOW), pictures),
        (Identity("p2", None, None, None, NOW), [pictures[0], NewText("red coat", NOW)]),
    ]


def _filled(path: Path) -> WatchlistStore:
    store = WatchlistStore(path)
    for identity, enrolments in _people():
        store.add(identity, enrolments)
    return store


def _rows(folder: Path) -> list[bytes]:
    with _filled(folder / "rows.db") as store:
        rows = [to_row(store, name, CODEC) or b"" for name in ("p1", "p2")]
    contents = Contents(watchlist="0" * 32, version=3, identities=("p1", "p2"))
    return [*rows, contents.to_row()]


def _take_row(data: bytes) -> None:
    named = re.search(rb'"id": ?"(p[12])"', data)
    key = KEY.encode() if b"musewatch.contents" in data else named[1] if named else b""
    taken = read_row(BusMessage("watchlist", 0, 0, key, data, 0.0))
    if isinstance(taken, tuple):
        shared, enrolments = taken
        _need(0 <= shared.version < 2**53, "version")
        _need(all(new.vector is None or bool(np.isfinite(new.vector).all()) for new in enrolments), "vector")


def _zips(folder: Path) -> Kind:
    with _filled(folder / "from.db") as store:
        export_watchlist(store, folder / "w.zip")
    target = WatchlistStore(folder / "to.db")

    def take(data: bytes) -> None:
        path = folder / "x.zip"
        path.write_bytes(data)
        listing = import_watchlist(target, path, CODEC)
        here = {identity.id: identity for identity in target.identities()}
        _need(set(here) == {each.id for each in listing.identities}, "people")
        export_watchlist(target, folder / "again.zip")
        for name in here:
            target.remove(name)

    return Kind([(folder / "w.zip").read_bytes()], _change_zip, take)


def _feature_files() -> list[bytes]:
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {
        "query_features": rng.standard_normal((4, 8)).astype(np.float32),
        "gallery_features": rng.standard_normal((6, 8)).astype(np.float32),
        "query_ids": np.arange(4),
        "gallery_ids": np.array([0, 1, 2, 3, 3, -1]),
        "query_cameras": np.ones(4, np.int64),
        "gallery_cameras": np.full(6, 2),
        "candidates": np.tile(np.arange(3), (4, 1)),
        "p_no": np.full((4, 3), 0.5, np.float32),
    }
    files = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        files.append(file.getvalue())
    return files


def _take_npz(data: bytes, folder: Path) -> None:
    path = folder / "f.npz"
    path.write_bytes(data)
    features = read_features(path)
    _need(
        bool(np.isfinite(features.query_features).all() and np.isfinite(features.gallery_features).all()),
        "finite",
    )
    _need(max(abs(int(value)) for value in features.gallery_ids) <= 2**53, "labels")


def _jpegs() -> list[bytes]:
    image = person(64)
    options = ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4])
    return [bytes(cv2.imencode(".jpg", image, option)[1]) for option in options]


def _take_jpeg(data: bytes) -> None:
    size = jpeg_size(data)
    if size[0] * size[1] <= 4_000_000:
        image = CODEC.decode(data)
        _need(sorted(image.shape[:2]) == sorted(size) and image.dtype == np.uint8, "size")


def _labels() -> bytes:
    return "".join(f"{frame},3,10.5,20,{30 + frame},40,1,1,0.5\n" for frame in range(1, 9)).encode()


def _take_labels(data: bytes, folder: Path) -> None:
    path = folder / "a.gt.txt"
    path.write_bytes(data)
    read = read_labels(path)
    for label in (*read.people, *read.ignored):
        _need(label.frame >= 1 and all(abs(edge) <= MAX_EDGE_PX for edge in label.box), "label")


def _presence() -> bytes:
    return b"stream_id,person_id,start_s,end_s,visible_s,max_height_px\nhall,p3,0.0,1.9,1.8,90\nhall,p4,1,2,1,60\n"


def _take_presence(data: bytes, folder: Path) -> None:
    path = folder / "presence.csv"
    path.write_bytes(data)
    for row in read_presence(path):
        _need(math.isfinite(row.stay.start_s + row.stay.end_s + row.visible_s), "time")


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise NonsenseError(what)
