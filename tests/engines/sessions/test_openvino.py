import hashlib
import json
import logging
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from engines.errors import EngineFileError, ManifestError, TensorError
from engines.examine import examine
from engines.manifest import load_manifest
from engines.network import VectorNetwork
from engines.sessions.open import open_session
from engines.sessions.openvino import OpenVinoSession, library
from pipeline.cli.main import main

SIZE = (32, 16)
BASE = {
    "schema": "musewatch.engine/1", "role": "embedder", "licence": "Apache-2.0", "provenance": "a test",
    "preprocess": {"colour": "rgb", "scale": 1 / 255, "resize": "stretch", "size": list(SIZE)},
}  # fmt: skip


def tiny_onnx(batch="n", seed=0, width=8):
    """Convolution, normalisation of each channel, mean: a vector a picture."""
    rng = np.random.default_rng(seed)
    constants = {
        "w": rng.normal(0, 0.3, (width, 3, 3, 3)), "b": rng.normal(0, 0.5, width),
        "one": rng.normal(1, 0.2, width), "zero": rng.normal(0, 0.2, width), "m": rng.normal(0, 0.5, (width, 12)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("InstanceNormalization", ["c", "one", "zero"], ["i"]),
        helper.make_node("Relu", ["i"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, *SIZE])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, 12])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString()


def write(folder, name, files, **keys):
    """Files and the manifest of an engine; the first file is the network's."""
    digests = {}
    for each, data in files.items():
        (folder / each).write_bytes(data)
        digests[each] = hashlib.sha256(data).hexdigest()
    (file, sha256), *others = digests.items()
    document = {**BASE, "name": name, "file": file, "sha256": sha256, **keys}
    if others:
        document["files"] = dict(others)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The files of OpenVINO's form, by OpenVINO's own converter, from batches of one."""
    openvino = library()
    folder = tmp_path_factory.mktemp("ir")

    def convert(seed=0, width=8):
        model = openvino.Core().read_model(tiny_onnx(1, seed, width))
        openvino.save_model(model, folder / "net.xml", compress_to_fp16=False)
        return {"net.xml": (folder / "net.xml").read_bytes(), "net.bin": (folder / "net.bin").read_bytes()}

    return convert


@pytest.fixture
def tensor():
    return np.random.default_rng(3).random((3, 3, *SIZE), np.float32)


def reference(data, tensor):
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": tensor})[0]


def test_its_own_form_is_run_as_it_is_with_the_answers_of_onnxruntime(tmp_path, converted, tensor):
    path = write(tmp_path, "tiny", converted())
    session = open_session(load_manifest(path))
    assert [str(spec) for spec in session.inputs] == ["'x' (1, 3, 32, 16) float32"]
    assert [str(spec) for spec in session.outputs] == ["'vector' (1, 12) float32"]
    assert session.precision == "fp32"
    found = np.concatenate([session.run({"x": row[None]})["vector"] for row in tensor])
    assert np.abs(found - reference(tiny_onnx(), tensor)).max() < 1e-4


def test_onnx_is_run_where_the_manifest_asks_for_it_in_any_batch(tmp_path, tensor):
    path = write(tmp_path, "tiny", {"net.onnx": tiny_onnx()}, openvino={})
    session = open_session(load_manifest(path))
    assert isinstance(session, OpenVinoSession)
    assert session.inputs[0].shape == (None, 3, *SIZE)
    assert session.outputs[0].shape == (None, 12)
    for count in (1, 3, 2):
        found = session.run({"x": tensor[:count]})["vector"]
        assert np.abs(found - reference(tiny_onnx(), tensor[:count])).max() < 1e-4


def test_answers_outlive_the_next_run_and_the_arrays_that_were_given(tmp_path, tensor):
    session = OpenVinoSession(tiny_onnx(), b"", "tiny")
    given = tensor[:1].copy()
    first = session.run({"x": given})["vector"]
    kept = first.copy()
    given[:] = 0
    session.run({"x": tensor[1:]})
    np.testing.assert_array_equal(first, kept)


def test_channels_without_contrast_have_finite_vectors(tmp_path, converted):
    path = write(tmp_path, "tiny", converted())
    manifest = load_manifest(path)
    network = VectorNetwork(manifest, open_session(manifest))
    flat = [np.full((40, 20, 3), grey, np.uint8) for grey in (0, 128, 255)]
    assert np.isfinite(network.embed(flat)).all()
    examine(manifest, open_session(manifest))


def test_bf16_is_another_engine_and_fp32_by_openvino_the_same(tmp_path):
    def digest(**keys):
        return load_manifest(write(tmp_path, "tiny", {"net.onnx": tiny_onnx()}, **keys)).digest

    plain = digest()
    assert digest(openvino={}) == digest(openvino={"precision": "fp32"}) == plain
    assert digest(openvino={"precision": "bf16"}) != plain


def test_bf16_is_computed_in_or_a_line_says_that_it_is_not(tmp_path, tensor, caplog):
    path = write(tmp_path, "tiny", {"net.onnx": tiny_onnx()}, openvino={"precision": "bf16"})
    with caplog.at_level(logging.WARNING):
        session = open_session(load_manifest(path))
    assert (session.precision == "bf16") != ("computes in fp32" in caplog.text)
    expected = reference(tiny_onnx(), tensor)
    found = session.run({"x": tensor})["vector"]
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda files, _: files | {"net.xml": files["net.xml"][:900]}, "OpenVINO cannot load it: Start-end"),
        (lambda files, _: files | {"net.xml": b"nothing"}, "OpenVINO cannot load it"),
        (lambda files, _: files | {"net.bin": files["net.bin"][:-4]}, "bytes of weights, and the file has"),
        (lambda files, other: files | {"net.bin": other["net.bin"]}, "it is of another network, or damaged"),
        (lambda files, _: {"net.xml": files["net.xml"]}, "its weights are not named"),
    ],
)
def test_damaged_files_cost_one_clear_error(tmp_path, converted, damage, said):
    path = write(tmp_path, "tiny", damage(converted(), converted(width=16)))
    with pytest.raises(EngineFileError) as error:
        open_session(load_manifest(path))
    assert said in error.value.problem
    assert "\n" not in error.value.problem
    assert ".cpp" not in error.value.problem
    assert "tiny" in error.value.problem


def test_files_of_another_digest_are_refused(tmp_path, converted):
    path = write(tmp_path, "tiny", converted())
    (tmp_path / "net.bin").write_bytes(b"\0" * len(converted()["net.bin"]))
    with pytest.raises(EngineFileError, match=r"net\.bin has sha256"):
        open_session(load_manifest(path))


def test_damaged_onnx_and_weights_elsewhere_are_refused(tmp_path):
    path = write(tmp_path, "tiny", {"net.onnx": tiny_onnx()[:400]}, openvino={})
    with pytest.raises(EngineFileError, match="OpenVINO cannot load it"):
        open_session(load_manifest(path))
    model = onnx.load_model_from_string(tiny_onnx())
    onnx.save_model(
        model, tmp_path / "two.onnx", save_as_external_data=True, location="w.data", size_threshold=0
    )
    path = write(tmp_path, "two", {"two.onnx": (tmp_path / "two.onnx").read_bytes()}, openvino={})
    with pytest.raises(EngineFileError, match="in a file of their own"):
        open_session(load_manifest(path))


def test_tensors_that_do_not_fit_are_refused_by_name(tmp_path, converted, tensor):
    session = open_session(load_manifest(write(tmp_path, "tiny", converted())))
    with pytest.raises(TensorError, match="engine tiny: OpenVINO cannot run it"):
        session.run({"x": tensor})
    with pytest.raises(TensorError, match="engine tiny: OpenVINO cannot run it"):
        session.run({"y": tensor[:1]})


def test_a_gpu_is_refused_and_keys_that_contradict_each_other(tmp_path, converted):
    with pytest.raises(EngineFileError, match="device cuda is asked for"):
        open_session(load_manifest(write(tmp_path, "tiny", converted())), device="cuda")
    both = write(tmp_path, "both", {"net.onnx": tiny_onnx()}, openvino={}, tensorrt={})
    with pytest.raises(ManifestError, match="not both"):
        load_manifest(both)
    torch = write(tmp_path, "torch", {"a.safetensors": b"x"}, openvino={}, network={"use": "small"})
    with pytest.raises(ManifestError, match="key openvino belongs to"):
        load_manifest(torch)


def test_check_and_compare_run_it_and_build_refuses_it(tmp_path, converted, capfd):
    path = str(write(tmp_path, "tiny", converted()))
    onnx_path = str(write(tmp_path, "plain", {"net.onnx": tiny_onnx()}, openvino={"precision": "bf16"}))
    assert main(["engines", "check", path, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["ok"] is True
    assert main(["engines", "compare", path, onnx_path, "--batch", "1", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["rows"]
    assert [row["runtime"] for row in rows[:3]] == ["OpenVINO, processor"] * 2 + ["onnxruntime, processor"]
    assert all(row["latency_ms"] > 0 for row in rows[:3])
    assert main(["engines", "build", path, "--out", str(tmp_path / "out")]) == 2
    assert "in OpenVINO's form, and engines are built from .onnx files" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_extra_the_error_names_it(tmp_path, converted):
    path = write(tmp_path, "tiny", converted())
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from pathlib import Path\n"
        "from engines.manifest import load_manifest; from engines.sessions.open import open_session\n"
        "from engines.errors import EngineFileError\n"
        "try: open_session(load_manifest(Path(sys.argv[1])))\n"
        "except EngineFileError as error: print(error.problem, '|', error.fix)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "engine tiny: it is run by OpenVINO, which is not installed | install the extra" in done.stdout
    assert "openvino" in done.stdout.partition("|")[2]
    assert done.stderr == ""


def test_it_says_nothing_and_leaves_nothing_at_home(tmp_path, converted):
    path = write(tmp_path, "tiny", converted())
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('it opened a connection')\n"
        "socket.socket.connect = refuse\n"
        "from pathlib import Path\n"
        "from engines.manifest import load_manifest; from engines.sessions.open import open_session\n"
        "open_session(load_manifest(Path(sys.argv[1])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=False,
        capture_output=True,
        text=True,
        env={"HOME": str(home)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.iterdir()) == []
