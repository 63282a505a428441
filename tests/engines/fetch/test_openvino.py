"""OpenVINO's form to ONNX: the same numbers as plain numpy, any batch, and no trap in flat channels."""

import re

import numpy as np
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from engines.errors import EngineFileError
from engines.fetch.openvino import to_onnx
from tests.engines.fetch.ir import MVN, WINDOW, Topology, embedder

SIZE = (32, 16)


def run(network, pictures):
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pictures.astype(np.float32)})[0]


def normalised(x, axes):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def convolved(x, weights, groups=1):
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))
    parts = zip(np.split(windows, groups, 1), np.split(weights, groups), strict=True)
    return np.concatenate([np.einsum("nchwij,ocij->nohw", part, kernel) for part, kernel in parts], 1)


def by_hand(x, weights):
    """The same network in numpy, double precision."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = normalised(x[:, ::-1] - 100.0, (2, 3))
    x = convolved(convolved(x, w["conv"]), w["group"].reshape(8, 2, 3, 3), groups=4)
    x = np.maximum(x + w["bias"], 0)
    n, c, height, width = x.shape
    x = x.reshape(n, c, height // 2, 2, width // 2, 2).max((3, 5))
    x = x.reshape(n, c, height // 4, 2, width // 4, 2).mean((3, 5))
    pooled = x.mean((2, 3))
    gate = (normalised(pooled.reshape(n, 4, 2), 2) * w["gate"]).reshape(n, 8)
    both = np.concatenate([pooled / (1 + np.exp(-gate)), pooled], 1)
    product = both @ w["matmul"].T
    return np.where(product > 0, product, 0.25 * product)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    net, weights = embedder(SIZE)
    return to_onnx(*net.save(tmp_path_factory.mktemp("ir"))), weights


def test_it_computes_what_the_topology_says_for_any_batch(converted):
    network, weights = converted
    pictures = np.random.default_rng(1).integers(0, 256, (5, 3, *SIZE)).astype(np.float64)
    expected = by_hand(pictures, weights)
    np.testing.assert_allclose(run(network, pictures), expected, atol=1e-5)
    np.testing.assert_allclose(run(network, pictures[:1]), expected[:1], atol=1e-5)


def test_a_channel_without_contrast_is_nothing_and_not_noise(converted):
    network, weights = converted
    grey = np.full((1, 3, *SIZE), 114.0)
    np.testing.assert_allclose(run(network, grey), by_hand(grey, weights), atol=1e-5)


def of_one_layer(tmp_path, kind, shape=(1, 2, 4, 4), extra=(), **data):
    net = Topology()
    inputs = [net.parameter(1, 2, 4, 4), *(net.constant(*value) for value in extra)]
    net.add("Result", [net.add(kind, inputs, shape, **data)])
    return net.save(tmp_path)


FOUND = {
    "an unknown operation": ("Interpolate", {}, (), "operation Interpolate is not known"),
    "padding by size": ("MaxPool", {**WINDOW, "auto_pad": "same_upper"}, (), "auto_pad same_upper"),
    "other axes": ("MVN", MVN, [([1, 2], "<i8")], r"over the axes \[1, 2\] of 4"),
    "epsilon outside": ("MVN", {**MVN, "eps_mode": "OUTSIDE_SQRT"}, [([2, 3], "<i8")], "of another kind"),
    "a transposed picture": ("MatMul", {"transpose_a": "true"}, [(np.ones((4, 4)),)], "is transposed"),
    "nothing to multiply with": ("ReduceMean", {}, (), "IndexError"),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_it_cannot_convert_it_names(case, tmp_path):
    kind, data, extra, words = FOUND[case]
    with pytest.raises(EngineFileError, match=words):
        to_onnx(*of_one_layer(tmp_path, kind, extra=extra, **data))


def test_pictures_are_not_mixed(tmp_path):
    with pytest.raises(EngineFileError, match="pictures and their parts are mixed"):
        to_onnx(*of_one_layer(tmp_path, "Reshape", (2, 16), [([2, 16], "<i8")]))


def test_weights_must_be_constants(tmp_path):
    net = Topology()
    pictures, kernel = net.parameter(1, 2, 4, 4), net.parameter(1, 2, 2, 3, 3)
    net.add("Result", [net.add("GroupConvolution", [pictures, kernel], (1, 2, 2, 2), **WINDOW)])
    with pytest.raises(EngineFileError, match="input 1 is not constant"):
        to_onnx(*net.save(tmp_path))


def test_a_slope_for_each_channel(tmp_path):
    network = to_onnx(*of_one_layer(tmp_path, "PReLU", extra=[([0.5, 0.1],)]))
    answer = run(network, np.full((1, 2, 4, 4), -1.0))
    np.testing.assert_allclose(answer[0, :, 0, 0], [-0.5, -0.1], atol=1e-7)


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:200], lambda text: "<net></net>", lambda text: re.sub('offset="0"', "", text)],
)
def test_a_damaged_topology_is_refused(damage, tmp_path):
    topology, weights = embedder(SIZE)[0].save(tmp_path)
    topology.write_text(damage(topology.read_text()))
    with pytest.raises(EngineFileError, match="cannot be converted"):
        to_onnx(topology, weights)


def test_weights_cut_off_are_refused(tmp_path):
    topology, weights = embedder(SIZE)[0].save(tmp_path)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(EngineFileError, match="cannot be converted"):
        to_onnx(topology, weights)
