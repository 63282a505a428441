"""Manifests and files that are damaged or meant to harm: one clear error that names file and key, exit code 2."""

import hashlib
import pickle
import re

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from engines.testing import stripe_embedder, write_engine
from pipeline.cli.main import main

SIZE = (64, 32)
NETWORK = stripe_embedder(SIZE)


def in_two_files(folder, **keys):
    """An engine whose weights lie in a file of their own."""
    weight = np.random.default_rng(0).normal(size=(3 * 64 * 32, 8)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *SIZE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "tiny.onnx", save_as_external_data=True, location="tiny.data", size_threshold=0)
    digest = hashlib.sha256((folder / "tiny.data").read_bytes()).hexdigest()
    return write_engine(
        folder, (folder / "tiny.onnx").read_bytes(), **{"files": {"tiny.data": digest}} | keys
    )


def newer(data):
    model = onnx.load_from_string(data)
    model.ir_version = 99
    return model.SerializeToString()


def of_later_opset(data):
    model = onnx.load_from_string(data)
    model.opset_import[0].version = 999
    return model.SerializeToString()


def unknown_layer(data):
    model = onnx.load_from_string(data)
    model.graph.node[0].op_type = "PourTea"
    return model.SerializeToString()


def edited(path, change):
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))
    return path


FILES = {
    "cut short": (lambda data: data[: len(data) // 2], "engine tiny.*is no ONNX file, or only a part"),
    "nothing": (lambda data: b"", "engine tiny.*cannot load it"),
    "text": (lambda data: b"version https://git-lfs.github.com/spec/v1", "engine tiny.*no ONNX file"),
    "an IR to come": (newer, "engine tiny.*IR"),
    "an opset to come": (of_later_opset, "engine tiny.*[Oo]pset"),
    "an unknown layer": (unknown_layer, "engine tiny.*PourTea"),
    "a pickle called onnx": (lambda data: pickle.dumps([1]), "tiny.onnx is a pickle"),
    "another input": (lambda data: stripe_embedder((128, 64)), "set preprocess.size"),
}


@pytest.fixture
def refusal(tmp_path, monkeypatch, capsys):
    """What `add` and `check` say of a manifest; exit code 2 of the one, 1 or 2 of the other, and no traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSEWATCH_CONFIG", raising=False)

    def refused(path):
        assert main(["engines", "add", str(path)]) == 2
        said = capsys.readouterr().err
        assert main(["engines", "check", str(path)]) in (1, 2)
        again = capsys.readouterr()
        assert not list(tmp_path.glob("data/engines/*"))
        for text in (said, again.out, again.err):
            assert "Traceback" not in text
            assert "unexpected" not in text
        return " ".join(said.split())

    return refused


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_will_not_do(case, tmp_path, refusal):
    damage, says = FILES[case]
    said = refusal(write_engine(tmp_path / "bad", damage(NETWORK)))
    assert re.search(says, said), said


FED = {"colour": "rgb", "resize": "stretch", "size": [64, 32]}
KEYS = {
    "another digest": ({"sha256": "0" * 64}, "tiny.onnx has sha256 .*, not 0000"),
    "a digest in capitals": ({"sha256": "A" * 64}, "tiny.yaml: sha256: expected 64 hexadecimal digits"),
    "a file that is not there": ({"file": "none/tiny.onnx"}, "none/tiny.onnx cannot be read: No such file"),
    "a folder for a file": ({"file": "."}, "cannot be read: Is a directory|nothing here runs"),
    "a size beyond all pictures": ({"preprocess": FED | {"size": [10**9, 1]}}, "preprocess.size.0"),
    "a scale that is no number": ({"preprocess": FED | {"scale": float("nan")}}, "preprocess.scale"),
    "a misspelt key": ({"preprocess": FED | {"color": "rgb"}}, "preprocess.color: unknown key; did you mean 'colour'"),
    "a library that is none": ({"preprocess": {"library": "keras"}}, "preprocess.library"),
    "a decoder of an embedder": ({"decoder": {"kind": "yolox"}}, "role embedder has no decoder"),
    "a decoder that is none": ({"role": "detector", "decoder": {"kind": "yolo9000"}}, "decoder"),
    "an output that is not there": ({"outputs": ["features"]}, "no output features"),
    "a dimension that is another": ({"dimension": 512}, "its vectors have 24 numbers, it says 512"),
    "files outside": ({"files": {"../../etc/passwd": "0" * 64}}, "files: '../../etc/passwd' is not the plain name"),
    "an absolute file": ({"files": {"/etc/passwd": "0" * 64}}, "files: '/etc/passwd' is not the plain name"),
    "files without a digest": ({"files": {"tiny.data": "x"}}, "files.tiny.data: expected 64 hexadecimal digits"),
    "another schema": ({"schema": "musewatch.engine/9"}, "tiny.yaml: schema"),
}  # fmt: skip


@pytest.mark.parametrize("case", KEYS)
def test_a_key_that_will_not_do(case, tmp_path, refusal):
    keys, says = KEYS[case]
    path = write_engine(tmp_path / "bad", NETWORK)
    said = refusal(edited(path, lambda document: document.update(keys)))
    assert re.search(says, said), said


def test_weights_in_a_file_of_their_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSEWATCH_CONFIG", raising=False)
    path = in_two_files(tmp_path / "good")
    assert main(["engines", "check", str(path)]) == 0
    assert main(["engines", "add", str(path)]) == 0
    assert main(["engines", "check", "tiny"]) == 0, "both files were kept"
    capsys.readouterr()


def test_weights_that_no_digest_covers(tmp_path, refusal):
    path = in_two_files(tmp_path / "bad", files={})
    assert "cannot load it" in refusal(path)


def test_weights_of_another_digest(tmp_path, refusal):
    path = in_two_files(tmp_path / "bad")
    data = tmp_path / "bad" / "tiny.data"
    data.write_bytes(data.read_bytes()[:-4] + b"abcd")
    assert "tiny.data has sha256" in refusal(path)


def test_weights_that_are_cut_short(tmp_path, refusal):
    path = in_two_files(tmp_path / "bad")
    data = tmp_path / "bad" / "tiny.data"
    data.write_bytes(data.read_bytes()[:100])
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    edited(path, lambda document: document.update(files={"tiny.data": digest}))
    assert "engine tiny: onnxruntime cannot load it" in refusal(path)


def test_weights_that_are_not_there(tmp_path, refusal):
    path = in_two_files(tmp_path / "bad")
    (tmp_path / "bad" / "tiny.data").unlink()
    assert "tiny.data cannot be read: No such file" in refusal(path)


@pytest.mark.parametrize("text", ["", "[]", "a: [", "\x00", "&a [*a]", "schema: musewatch.network/1"])
def test_a_manifest_that_is_none(text, tmp_path, refusal):
    (tmp_path / "tiny.yaml").write_text(text)
    assert "tiny.yaml" in refusal(tmp_path / "tiny.yaml")
