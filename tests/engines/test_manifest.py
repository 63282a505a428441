"""Manifests: what the contract shows must load, what is wrong must be named."""

import hashlib
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from engines.errors import EngineError, ManifestError
from engines.manifest import load_manifest, manifest_schema, parse_manifest

SCHEMA_FILE = Path(__file__).parents[2] / "configs/schemas/engine-1.json"
DIGEST = hashlib.sha256(b"weights").hexdigest()
DETECTOR = f"""
{{schema: musewatch.engine/1, name: yolox-nano, role: detector, file: yolox_nano.onnx, sha256: "{DIGEST}",
 licence: Apache-2.0, provenance: "...",
 preprocess: {{colour: bgr, scale: 1.0, mean: [0, 0, 0], std: [1, 1, 1], resize: letterbox_top_left, pad: 114,
              size: [416, 416]}},   # height, width
 decoder: {{kind: yolox, strides: [8, 16, 32], person_class: 0}}}}
"""
EMBEDDER = f"""
{{schema: musewatch.engine/1, name: retail-0267, role: embedder, file: retail-0267.ort.onnx, sha256: "{DIGEST}",
 licence: Apache-2.0,
 provenance: "...", preprocess: {{colour: rgb, scale: 1.0, mean: [0, 0, 0], std: [1, 1, 1], resize: stretch,
                                 size: [256, 128]}},
 max_batch: 1, operating_point: {{max_distance: 0.85, chosen_on: "..."}}}}
"""


def changed(text, **keys):
    """The document with keys replaced; a dot goes one level down, None takes away."""
    document = yaml.safe_load(text)
    for key, value in keys.items():
        *path, last = key.split("__")
        place = document
        for part in path:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return document


def test_the_contracts_detector_loads(tmp_path):
    path = tmp_path / "yolox_nano.yaml"
    path.write_text(DETECTOR)
    manifest = load_manifest(path)
    assert manifest.path == tmp_path / "yolox_nano.onnx"
    assert manifest.file_digest == f"sha256:{DIGEST}"
    assert manifest.preprocess.size == (416, 416)
    assert manifest.decoder.strides == (8, 16, 32)
    assert manifest.max_batch is None
    assert manifest.operating_point is None


def test_the_contracts_embedder_loads(tmp_path):
    path = tmp_path / "retail_0267.yaml"
    path.write_text(EMBEDDER)
    manifest = load_manifest(path)
    assert manifest.operating_point.max_distance == 0.85
    assert manifest.max_batch == 1
    assert manifest.decoder is None


@pytest.mark.parametrize(
    "keys",
    [
        {"sha256": hashlib.sha256(b"others").hexdigest()},
        {"preprocess__colour": "rgb"},
        {"preprocess__scale": 0.5},
        {"preprocess__resize": "stretch"},
        {"preprocess__size": [320, 416]},
        {"preprocess__std": [1, 1, 2]},
        {"decoder__person_class": 1},
        {"decoder__strides": [8, 16]},
        {"outputs": ["boxes"]},
    ],
)
def test_what_is_computed_otherwise_is_another_engine(keys, tmp_path):
    before, after = (parse_manifest(changed(DETECTOR, **more), tmp_path) for more in ({}, keys))
    assert before.digest != after.digest


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "other", "licence": "MIT", "provenance": "elsewhere", "accuracy": {"AP": 0.5}},
        {"file": "/elsewhere/net.onnx", "max_batch": 4, "precision": "fp32"},
        {
            "preprocess__scale": None,
            "preprocess__mean": None,
            "preprocess__std": None,
            "preprocess__pad": None,
        },
        {"decoder__person_class": None, "decoder__strides": None},
        {"tensorrt": {}},
    ],
)
def test_what_changes_nothing_that_is_computed_keeps_the_identity(keys, tmp_path):
    before, after = (parse_manifest(changed(DETECTOR, **more), tmp_path) for more in ({}, keys))
    assert before.digest == after.digest


def test_an_identity_can_be_made_by_hand(tmp_path):
    manifest = parse_manifest(changed(EMBEDDER), tmp_path)
    said = '{"preprocess":{"colour":"rgb","resize":"stretch","size":[256,128]}}'
    by_hand = hashlib.sha256(f"sha256:{DIGEST}\n{said}".encode()).hexdigest()
    assert manifest.digest == f"sha256:{by_hand}"


def test_an_absolute_file_stays_where_it_is(tmp_path):
    manifest = parse_manifest(changed(EMBEDDER, file="/models/net.onnx"), tmp_path)
    assert str(manifest.path) == "/models/net.onnx"


@pytest.mark.parametrize("text", [DETECTOR, EMBEDDER])
def test_the_schema_accepts_them_and_refuses_strangers(text):
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(text, stranger=1), schema)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (changed(DETECTOR, licens="MIT"), "manifest: licens: unknown key; did you mean 'licence'?"),
        (changed(DETECTOR, preprocess__color="bgr"), "preprocess.color: unknown key; did you mean 'colour'?"),
        (changed(DETECTOR, decoder__stride=8), "decoder.stride: unknown key; did you mean 'strides'?"),
        (changed(DETECTOR, decoder={"kind": "ssd", "strides": [8]}), "decoder.strides: unknown key; known keys: kind"),
        (changed(EMBEDDER, operating_point__cut=1), "operating_point.cut: unknown key; known keys: alpha, chosen_on"),
        (changed(DETECTOR, decoder__kind="yolo"), "decoder: Input tag 'yolo'"),
        (changed(DETECTOR, decoder__person_class=-1), "decoder.person_class: Input should be greater than or equal"),
        (changed(DETECTOR, decoder=None), "role detector needs a decoder"),
        (changed(EMBEDDER, decoder={"kind": "ssd"}), "role embedder has no decoder"),
        (changed(DETECTOR, role="watcher"), "role: Input should be 'detector', 'embedder'"),
        (changed(DETECTOR, schema="musewatch.engine/2"), "schema: Input should be 'musewatch.engine/1'"),
        (changed(DETECTOR, sha256="..."), "sha256: expected 64 hexadecimal digits"),
        (changed(DETECTOR, sha256=DIGEST.upper()), "sha256: expected 64 hexadecimal digits"),
        (changed(DETECTOR, file=None), "file: Field required"),
        (changed(DETECTOR, preprocess__size=[416]), "preprocess.size.1: Field required"),
        (changed(DETECTOR, preprocess__std=[1, 0, 1]), "preprocess.std.1: Input should be greater than 0"),
        (changed(DETECTOR, preprocess__resize="crop"), "preprocess.resize: Input should be 'letterbox_top_left'"),
        (changed(EMBEDDER, operating_point__max_distance=2.5), "max_distance: Input should be less than or equal"),
        (changed(EMBEDDER, max_batch=0), "max_batch: Input should be greater than or equal to 1"),
        (["a", "list"], "expected keys and values"),
        (None, "expected keys and values"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(document, says, tmp_path):
    with pytest.raises(ManifestError, match=re.escape(says)) as caught:
        parse_manifest(document, tmp_path)
    assert caught.value.exit_code == 2


def test_all_faults_are_told_at_once(tmp_path):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(changed(DETECTOR, rolle="x", file=None), tmp_path)
    assert len(caught.value.problem.splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"a: [1, 2", "line 1, column 9"), (b"\x08\x07\xff\x00", "not a manifest"), (b"", "expected keys and values")],
)  # fmt: skip
def test_a_file_that_is_no_manifest(content, says, tmp_path):
    path = tmp_path / "engine.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=says) as caught:
        load_manifest(path)
    assert str(path) in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(EngineError, match="no manifest"):
        load_manifest(tmp_path / "absent.yaml")


def test_the_schema_in_the_tree_is_the_one_that_is_printed():
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == manifest_schema(), (
        "musewatch schema engine > configs/schemas/engine-1.json"
    )
