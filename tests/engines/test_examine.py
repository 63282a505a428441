"""What makes an engine useless is found on made pictures."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import OutputError, TensorError
from engines.examine import examine
from engines.manifest import load_manifest
from engines.sessions.open import open_session
from engines.testing import brightness_network, stripe_embedder, write_engine

SIZE = (64, 32)


def network(nodes, weights, batch="n"):
    """An ONNX file of the input `x` (N, 3, 64, 32) and the output `y` (N, D)."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, *SIZE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, None])
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def in_training(batch="n"):
    """Normalised by the statistics of the batch, as a network is that was exported in training mode."""
    random = np.random.default_rng(0)
    four = {name: np.full(8, value, np.float32) for name, value in (("s", 1), ("b", 0), ("m", 0), ("v", 1))}
    weights = {"w": random.normal(0, 0.2, (8, 3, 5, 5)).astype(np.float32), **four}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[8, 8]),
        helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n", "m2", "v2"], training_mode=1),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    return network(nodes, weights, batch)


def by_chance():
    """Stripes and noise."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[8, 32], strides=[8, 32]),
        helper.make_node("RandomNormalLike", ["p"], ["r"], scale=40.0),
        helper.make_node("Add", ["p", "r"], ["s"]),
        helper.make_node("Flatten", ["s"], ["y"]),
    ]
    return network(nodes, {})


def always_the_same():
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "none"], ["z"]),
        helper.make_node("Add", ["z", "answer"], ["y"]),
    ]
    random = np.random.default_rng(1)
    return network(
        nodes,
        {"none": np.zeros((3, 16), np.float32), "answer": random.normal(size=(1, 16)).astype(np.float32)},
    )


def examined(folder, data, **keys):
    if isinstance(data, onnx.ModelProto):
        data = data.SerializeToString()
    manifest = load_manifest(write_engine(folder, data, **keys))
    examine(manifest, open_session(manifest, device="cpu"))


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_an_embedder_that_tells_pictures_apart_passes(batch, tmp_path):
    examined(tmp_path, stripe_embedder(SIZE, batch=batch))


@pytest.mark.parametrize(
    ("role", "make", "says"),
    [
        ("embedder", always_the_same, "4 different pictures get the same answer"),
        ("verifier", always_the_same, "4 different pictures get the same answer"),
        ("embedder", in_training, "depends on the pictures beside it"),
        ("verifier", in_training, "depends on the pictures beside it"),
        ("embedder", lambda: in_training(4), "depends on the pictures beside it"),
        ("embedder", by_chance, "depends on the pictures beside it, or on chance"),
        ("embedder", lambda: brightness_network({"y": np.ones((1, 8), np.float32)}, SIZE), "the same answer"),
    ],
)
def test_an_engine_of_no_use_is_refused(role, make, says, tmp_path):
    with pytest.raises(OutputError, match=f"engine tiny: .*{says}"):
        examined(tmp_path, make(), role=role)


def test_a_vector_of_one_number_is_refused(tmp_path):
    with pytest.raises(TensorError, match="1 number, which tells nobody apart"):
        examined(tmp_path, brightness_network({"y": np.ones((1, 1), np.float32)}, SIZE))


@pytest.mark.parametrize(
    ("kind", "answer", "fails"),
    [
        ("yolox", np.linspace(0, 1, 42 * 6).reshape(1, 42, 6), None),
        ("yolox", np.linspace(0, 9, 42 * 6).reshape(1, 42, 6), "a score is"),
        ("ultralytics", np.linspace(0, 1, 42 * 5).reshape(1, 5, 42), None),
        ("end_to_end", np.zeros((1, 9, 6)), None),  # nobody is in the pictures
    ],
)
def test_a_detector_is_read_as_it_will_be(kind, answer, fails, tmp_path):
    keys = {"role": "detector", "decoder": {"kind": kind}}
    data = brightness_network({"y": answer.astype(np.float32)}, SIZE)
    if fails is None:
        examined(tmp_path, data, **keys)
        return
    with pytest.raises(OutputError, match=f"engine tiny: .*{fails}"):
        examined(tmp_path, data, **keys)


def test_a_detector_that_sees_nothing_is_refused(tmp_path):
    keys = {"role": "detector", "decoder": {"kind": "yolox"}}
    with pytest.raises(OutputError, match="the same answer"):
        examined(tmp_path, brightness_network({"y": np.zeros((1, 42, 6), np.float32)}, SIZE), **keys)
