"""Opening a network: the right bytes, in silence, or a clear refusal."""

import os
import pickle
import subprocess
import sys

import numpy as np
import onnx
import pytest

from engines.errors import EngineError, EngineFileError, TensorError
from engines.manifest import load_manifest
from engines.sessions import ort as session_ort
from engines.sessions.base import TensorSpec
from engines.sessions.open import open_session
from engines.testing import stripe_embedder, write_engine

NETWORK = stripe_embedder((64, 32))


def open_at(path, **keys):
    return open_session(load_manifest(path), **keys)


def test_a_network_runs(tmp_path):
    session = open_at(write_engine(tmp_path, NETWORK))
    assert session.inputs == (TensorSpec("pictures", (None, 3, 64, 32), "float32"),)
    assert session.outputs == (TensorSpec("colours", (None, 3, 8, 1), "float32"),)
    pictures = np.random.default_rng(1).uniform(0, 255, (2, 3, 64, 32)).astype(np.float32)
    answer = session.run({"pictures": pictures})["colours"]
    assert answer == pytest.approx(pictures.reshape(2, 3, 8, 8, 32).mean(axis=(3, 4))[..., None], rel=1e-4)


def test_threads_make_no_other_answer(tmp_path):
    path = write_engine(tmp_path, NETWORK)
    pictures = np.random.default_rng(2).uniform(0, 255, (3, 3, 64, 32)).astype(np.float32)
    one, two = (open_at(path, threads=n).run({"pictures": pictures})["colours"] for n in (1, 2))
    assert one == pytest.approx(two, rel=1e-5)


PICKLED = pickle.dumps({"weights": [1, 2]})
REFUSED = {
    "truncated": ("tiny.onnx", NETWORK[: len(NETWORK) // 2], {}, "only a part of one"),
    "empty": ("tiny.onnx", b"", {}, "cannot load it"),
    "a text": ("tiny.onnx", b"404 not found", {}, "cannot load it"),
    "wrong digest": ("tiny.onnx", NETWORK, {"sha256": "0" * 64}, "not 0000"),
    "pickle by name": ("tiny.pt", NETWORK, {}, "pickle"),
    "pickle by content": ("tiny.onnx", PICKLED, {}, "pickle"),
    "torch archive": ("tiny.onnx", b"PK\x03\x04archive/data.pkl", {}, "pickle"),
    "unknown kind": ("tiny.tflite", NETWORK, {}, "'.tflite'"),
    "a plan": ("tiny.plan", NETWORK, {}, "is a plan compiled for one GPU"),
    "no kind": ("tiny", NETWORK, {}, "''"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_will_not_do(case, tmp_path, capfd):
    name, data, keys, says = REFUSED[case]
    path = write_engine(tmp_path, data, file=name, **keys)
    with pytest.raises(EngineFileError, match=says) as caught:
        open_at(path)
    assert "engine tiny" in caught.value.problem
    assert caught.value.fix
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file(tmp_path):
    path = write_engine(tmp_path, NETWORK)
    (tmp_path / "tiny.onnx").unlink()
    with pytest.raises(EngineFileError, match=r"tiny\.onnx cannot be read: No such file"):
        open_at(path)


def test_weights_in_a_second_file_are_refused(tmp_path, monkeypatch):
    """The digest would not cover them, and they could point anywhere."""
    weights = onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [64, 64]) for name in "xy")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    source = tmp_path / "source"
    source.mkdir()
    onnx.save(model, source / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    monkeypatch.chdir(source)  # even when the second file lies at hand
    path = write_engine(tmp_path, (source / "net.onnx").read_bytes())
    (tmp_path / "net.data").write_bytes((source / "net.data").read_bytes())
    with pytest.raises(EngineFileError, match="cannot load it"):
        open_at(path)


def test_a_run_on_the_wrong_shape_is_explained(tmp_path):
    session = open_at(write_engine(tmp_path, NETWORK))
    with pytest.raises(TensorError, match="engine tiny: onnxruntime cannot run it"):
        session.run({"pictures": np.zeros((1, 3, 65, 32), np.float32)})


def test_without_a_gpu_auto_is_the_processor_and_cuda_is_refused(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(session_ort, "gpu_works", lambda: False)
    path = write_engine(tmp_path, NETWORK)
    assert open_at(path).provider == "CPUExecutionProvider"
    with pytest.raises(EngineError, match="no GPU works here"):
        open_at(path, device="cuda")
    assert capfd.readouterr() == ("", "")


LOAD = """
import sys, pathlib
from engines.manifest import load_manifest
from engines.sessions.open import open_session
open_session(load_manifest(pathlib.Path(sys.argv[1])))
"""
LOAD_AS_ONNXRUNTIME_DOES = """
import sys, onnxruntime
onnxruntime.InferenceSession(sys.argv[1].replace(".yaml", ".onnx"))
"""


def test_nothing_is_printed_and_nothing_is_written_at_home(tmp_path):
    """With the control that this network makes onnxruntime talk when it is let."""
    model = onnx.load_from_string(NETWORK)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "unused"))
    path = write_engine(tmp_path / "engine", model.SerializeToString())

    def load(code, home):
        home.mkdir()
        ran = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            check=True,
            cwd=os.getcwd(),
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
        )
        return ran.stdout + ran.stderr, list(home.iterdir())

    assert b"unused" in load(LOAD_AS_ONNXRUNTIME_DOES, tmp_path / "control")[0]
    assert load(LOAD, tmp_path / "home") == (b"", [])
