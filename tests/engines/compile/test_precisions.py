"""Half precision, eight bits, calibration and likeness against the plain way of computing each."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.compile.calibrate import Calibration, best_clip, calibrate, load_calibration, save_calibration
from engines.compile.likeness import agreement, likeness
from engines.compile.pictures import choose
from engines.compile.precisions import to_eight_bits, to_half
from engines.compile.unsigned import to_unsigned
from engines.decode import Boxes
from engines.errors import EngineFileError, ManifestError, PictureError
from engines.examine import sample_pictures
from engines.manifest import load_manifest
from engines.sessions.ort import OrtSession
from engines.testing import stripe_embedder, write_engine

SIZE = (16, 8)


def network(nodes, weights, output, opset=18):
    """An ONNX file of the input `x` (N, 3, 16, 8)."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *SIZE])
    y = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", None])
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model.SerializeToString()


def conv_then_gemm(seed=0):
    """Both kinds of layers, one weight used twice, channels of very different size."""
    random = np.random.default_rng(seed)
    conv = random.normal(size=(4, 3, 3, 3)).astype(np.float32) * np.float32([1, 0.01, 5, 0.3]).reshape(
        4, 1, 1, 1
    )
    gemm = random.normal(size=(5, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "gemm"], ["e"], "head", transB=1),
        helper.make_node("Gemm", ["d", "gemm"], ["f"], "twin", transB=1),
        helper.make_node("Sub", ["e", "f"], ["zero"]),
        helper.make_node("Add", ["e", "zero"], ["y"]),
    ]
    return network(nodes, {"conv": conv, "gemm": gemm}, "y"), conv, gemm


def run(data, x, precision=None):
    (answer,) = OrtSession(data, "t", device="cpu", precision=precision).run({"x": x}).values()
    return answer


def rounded(values, scale):
    return np.clip(np.rint(values / scale), -127, 127) * scale


def test_int8_computes_what_its_formula_says():
    data, conv, gemm = conv_then_gemm()
    x = np.random.default_rng(1).uniform(-1, 1, (2, 3, *SIZE)).astype(np.float32)
    limits = {"x": 0.9, "d": 2.0}

    by_hand, _, _ = conv_then_gemm()
    model = onnx.load_from_string(by_hand)
    scale = np.abs(conv).max(axis=(1, 2, 3), keepdims=True) / 127
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(rounded(conv, scale).astype(np.float32), "conv")
    )
    model.graph.output.append(helper.make_tensor_value_info("d", TensorProto.FLOAT, None))
    pooled = OrtSession(model.SerializeToString(), "t", device="cpu").run(
        {"x": rounded(x, 0.9 / 127).astype(np.float32)}
    )["d"]
    expected = rounded(pooled, 2.0 / 127) @ rounded(gemm, np.abs(gemm).max(axis=1, keepdims=True) / 127).T

    assert run(to_eight_bits(data, limits, "int8"), x) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def conv_net():
    """Convolutions of which one is scaled by what follows, a sum of two branches, and a last layer."""
    random = np.random.default_rng(4)
    weights = {
        name: random.normal(size=(8, wide, 3, 3)).astype(np.float32) / 3
        for name, wide in (("a", 3), ("b", 8), ("c", 8))
    }
    weights["last"] = random.normal(size=(5, 8)).astype(np.float32)
    weights |= {
        name: random.uniform(0.5, 1.5, 8).astype(np.float32) for name in ("scale", "shift", "mean", "var")
    }
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["ca"], "first", **pads),
        helper.make_node("Relu", ["ca"], ["ra"]),
        helper.make_node("Conv", ["ra", "b"], ["cb"], "second", **pads),
        helper.make_node("BatchNormalization", ["cb", "scale", "shift", "mean", "var"], ["nb"]),
        helper.make_node("Add", ["nb", "ra"], ["sum"]),
        helper.make_node("Conv", ["sum", "c"], ["cc"], "third", **pads),
        helper.make_node("Sigmoid", ["cc"], ["sc"]),
        helper.make_node("GlobalAveragePool", ["sc"], ["p"]),
        helper.make_node("Flatten", ["p"], ["d"]),
        helper.make_node("Gemm", ["d", "last"], ["y"], "head", transB=1),
    ]
    return network(nodes, weights, "y")


def test_int8_for_processors_is_unsigned_between_its_layers_and_exact_at_the_end(tmp_path):
    data = conv_net()
    path = write_engine(
        tmp_path,
        data,
        preprocess={"colour": "bgr", "scale": 1 / 255, "resize": "stretch", "size": list(SIZE)},
    )
    seen = calibrate(load_manifest(path), data, {str(i): p for i, p in enumerate(sample_pictures(20, SIZE))})
    small = onnx.load_from_string(to_unsigned(data, seen.ranges()))
    fixed = {tensor.name: numpy_helper.to_array(tensor) for tensor in small.graph.initializer}
    activations = [node for node in small.graph.node if node.op_type == "QuantizeLinear"]
    assert {fixed[node.input[2]].dtype for node in activations} == {np.dtype(np.uint8)}
    assert {node.input[0] for node in activations} == {"x", "ra", "nb", "sum", "cc"}, (
        "scaled inside, no last layer"
    )
    assert fixed["last"].dtype == np.float32
    x = np.random.default_rng(5).uniform(0, 1, (4, 3, *SIZE)).astype(np.float32)
    exact = run(data, x)
    assert run(small.SerializeToString(), x, "int8") == pytest.approx(
        exact, abs=0.03 * float(np.abs(exact).max())
    )


def test_layers_named_are_kept_for_processors_too(tmp_path):
    data = conv_net()
    path = write_engine(
        tmp_path,
        data,
        preprocess={"colour": "bgr", "scale": 1 / 255, "resize": "stretch", "size": list(SIZE)},
    )
    seen = calibrate(load_manifest(path), data, {str(i): p for i, p in enumerate(sample_pictures(4, SIZE))})
    small = onnx.load_from_string(to_unsigned(data, seen.ranges(), keep=["third"]))
    fixed = {tensor.name: tensor.data_type for tensor in small.graph.initializer}
    assert fixed["c"] == TensorProto.FLOAT
    with pytest.raises(EngineFileError, match="no layer is called fourth"):
        to_unsigned(data, seen.ranges(), keep=["fourth"])


def test_a_calibration_of_an_older_version_does_not_serve_processors(tmp_path):
    data = conv_net()
    old = Calibration(engine="sha256:0", pictures=(), activations={"x": {"largest": 1, "clip": 1}})
    assert old.limits("int8") == {"x": 1.0}
    with pytest.raises(EngineFileError, match="the calibration knows nothing of"):
        to_unsigned(data, old.ranges())


def test_int8_is_as_tensorrt_wants_it():
    data, _, _ = conv_then_gemm()
    model = onnx.load_from_string(to_eight_bits(data, {"x": 1, "d": 1}, "int8"))
    zeros = [numpy_helper.to_array(t) for t in model.graph.initializer if t.name.endswith("_zero")]
    assert zeros
    assert all(z.dtype == np.int8 and not z.any() for z in zeros)
    weights = {t.name: t for t in model.graph.initializer}
    assert (weights["conv_eight"].data_type, weights["conv_scale"].dims) == (TensorProto.INT8, [4])
    assert "conv" not in weights
    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") == 2  # the shared input once


def test_fp8_keeps_convolutions_and_rounds_products():
    data, *_ = conv_then_gemm()
    x = np.random.default_rng(2).uniform(-1, 1, (2, 3, *SIZE)).astype(np.float32)
    eight = to_eight_bits(data, {"d": 10.0}, "fp8")
    exact, found = run(data, x), run(eight, x, "fp8")
    assert found == pytest.approx(exact, rel=0.1, abs=0.1 * float(np.abs(exact).max()))
    assert not np.array_equal(exact, found)
    weights = {t.name: t for t in onnx.load_from_string(eight).graph.initializer}
    assert "conv" in weights
    assert weights["gemm_eight"].data_type == TensorProto.FLOAT8E4M3FN


def test_a_calibration_of_another_network_is_refused():
    data, _, _ = conv_then_gemm()
    with pytest.raises(EngineFileError, match="the calibration knows nothing of d, x"):
        to_eight_bits(data, {"other": 1.0}, "int8")
    pool = network([helper.make_node("Flatten", ["x"], ["y"])], {}, "y")
    with pytest.raises(EngineFileError, match="nothing in it can be int8"):
        to_eight_bits(pool, {}, "int8")


def test_half_is_float16_inside_and_survives_large_lengths():
    """A vector of length 600: its squares pass what float16 holds."""
    weight = np.full((8, 384), 0.5, np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["a"]),
        helper.make_node("Gemm", ["a", "w"], ["b"], transB=1),
        helper.make_node("ReduceL2", ["b", "axes"], ["c"], keepdims=1),
        helper.make_node("Div", ["b", "c"], ["y"]),
    ]
    data = network(nodes, {"w": weight, "axes": np.array([1])}, "y")
    x = np.full((2, 3, *SIZE), 1.5, np.float32)
    half = to_half(data, "t")
    assert run(half, x) == pytest.approx(run(data, x), rel=2e-3)
    model = onnx.load_from_string(half)
    assert {t.name: t.data_type for t in model.graph.initializer}["w"] == TensorProto.FLOAT16
    assert [v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)] == [
        TensorProto.FLOAT
    ] * 2


def test_float16_lets_nodes_share_a_constant_that_stays_float32():
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["a"], mode="nearest"),
        helper.make_node("Resize", ["a", "", "scales"], ["b"], mode="nearest"),
        helper.make_node("Flatten", ["b"], ["y"]),
    ]
    model = onnx.load_from_string(network(nodes, {"scales": np.float32([1, 1, 2, 2])}, "y"))
    as_torch_does = helper.make_tensor_value_info("scales", TensorProto.FLOAT, [4])
    model.graph.value_info.append(as_torch_does)
    data = model.SerializeToString()
    x = np.random.default_rng(4).uniform(-1, 1, (2, 3, *SIZE)).astype(np.float32)
    assert run(to_half(data, "t"), x, "fp16") == pytest.approx(run(data, x), abs=1e-3)


def test_what_cannot_be_half_is_one_line():
    with pytest.raises(EngineFileError, match="engine t: it cannot be made float16"):
        to_half(b"no network", "t")


def test_a_calibration_sees_the_largest_of_all_pictures(tmp_path):
    data, _, _ = conv_then_gemm()
    path = write_engine(
        tmp_path,
        data,
        preprocess={"colour": "bgr", "scale": 1 / 255, "resize": "stretch", "size": list(SIZE)},
    )
    pictures = dict(enumerate(sample_pictures(20, SIZE)))
    found = calibrate(load_manifest(path), data, {str(key): value for key, value in pictures.items()})

    x = np.stack([picture.transpose(2, 0, 1) for picture in pictures.values()]).astype(np.float32) / 255
    model = onnx.load_from_string(data)
    model.graph.output.append(helper.make_tensor_value_info("d", TensorProto.FLOAT, None))
    d = OrtSession(model.SerializeToString(), "t", device="cpu").run({"x": x})["d"]
    assert {name: found.activations[name].largest for name in ("x", "d")} == pytest.approx(
        {"x": float(x.max()), "d": float(np.abs(d).max())}, rel=1e-5
    )
    assert all(0 < seen.clip <= seen.largest for seen in found.activations.values())
    save_calibration(found, tmp_path / "deep" / "c.json")
    assert load_calibration(tmp_path / "deep" / "c.json") == found


def test_the_clip_is_the_best_of_those_tried():
    random = np.random.default_rng(4)
    values = np.abs(random.standard_t(3, 20_000))
    histogram, _ = np.histogram(values, 2048, (0, values.max()))

    def error(clip):
        step = clip / 127
        return ((values - np.minimum(np.rint(values / step), 127) * step) ** 2).mean()

    best = best_clip(histogram, float(values.max()))
    assert best < values.max()
    clips = values.max() * np.arange(1, 101) / 100
    assert error(best) <= 1.02 * min(map(error, clips))


@pytest.mark.parametrize("count", [4, 6, 3])
def test_a_calibration_fills_a_fixed_batch(count, tmp_path):
    data, _, _ = conv_then_gemm()
    fixed = onnx.load_from_string(data)
    for tensor in (*fixed.graph.input, *fixed.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 4
    keys = {"preprocess": {"colour": "bgr", "scale": 1 / 255, "resize": "stretch", "size": list(SIZE)}}
    pictures = {str(i): picture for i, picture in enumerate(sample_pictures(count, SIZE))}
    free, of_four = (
        calibrate(load_manifest(write_engine(tmp_path / name, engine, **keys)), engine, pictures)
        for name, engine in (("free", data), ("fixed", fixed.SerializeToString()))
    )
    for name, seen in free.activations.items():
        assert of_four.activations[name].largest == pytest.approx(seen.largest, rel=1e-5)


@pytest.mark.parametrize("opset", [9, 11])
def test_an_old_opset_is_made_newer_for_eight_bits(opset, tmp_path):
    random = np.random.default_rng(0)
    weight = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["a"], ["y"], axes=[2, 3], keepdims=0),
    ]
    data = network(nodes, {"w": weight}, "y", opset=opset)
    keys = {"preprocess": {"colour": "bgr", "scale": 1 / 255, "resize": "stretch", "size": list(SIZE)}}
    pictures = {str(i): picture for i, picture in enumerate(sample_pictures(4, SIZE))}
    found = calibrate(load_manifest(write_engine(tmp_path, data, **keys)), data, pictures)
    small = to_eight_bits(data, found.limits("int8"), "int8")
    x = random.uniform(0, 1, (3, 3, *SIZE)).astype(np.float32)
    assert run(small, x, "int8") == pytest.approx(
        run(data, x), abs=0.02 * float(np.abs(weight).sum(axis=(1, 2, 3)).max())
    )


def test_an_opset_that_cannot_be_made_newer_is_one_line():
    node = helper.make_node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 2.0])
    with pytest.raises(
        EngineFileError, match=r"engine t: it is of opset 7, eight bits need 13, .* cannot convert it"
    ):
        to_eight_bits(network([node], {}, "y", opset=7), {}, "int8", name="t")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"engine": "x"}'])
def test_a_wrong_calibration_is_refused(text, tmp_path):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ManifestError, match=r"c\.json"):
        load_calibration(tmp_path / "c.json")
    with pytest.raises(ManifestError, match="is not a calibration"):
        load_calibration(tmp_path / "none.json")


def test_fp8_is_not_clipped():
    seen = {"x": {"largest": 4.0, "clip": 1.0}}
    calibration = Calibration.model_validate({"engine": "sha256:0", "pictures": [], "activations": seen})
    assert (calibration.limits("int8"), calibration.limits("fp8")) == ({"x": 1.0}, {"x": 4.0})


def test_calibration_needs_a_layer_that_gains(tmp_path):
    path = write_engine(tmp_path, stripe_embedder((64, 32)))
    with pytest.raises(EngineFileError, match="no layer that eight bits speed up"):
        calibrate(load_manifest(path), stripe_embedder((64, 32)), {})


def boxes(*rows):
    table = np.float32(rows).reshape(-1, 4)
    return Boxes(table, np.ones(len(table), np.float32))


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ([boxes([0, 0, 10, 10])], [boxes([0, 0, 10, 10])], 1),
        ([boxes([0, 0, 10, 10])], [boxes([0, 5, 10, 10])], 0.5),
        ([boxes([0, 0, 10, 10], [50, 0, 60, 10])], [boxes([50, 0, 60, 10])], 2 / 3),
        ([boxes()], [boxes([0, 0, 10, 10])], 0),
        ([boxes([0, 0, 4, 4]), boxes()], [boxes(), boxes([0, 0, 4, 4])], 0),  # another picture
        ([boxes([0, 0, 10, 10])], [boxes([0, 0, 10, 10], [0, 0, 10, 10])], 2 / 3),  # each partner once
        ([boxes()], [boxes()], 1),
    ],
)
def test_agreement_of_boxes(found, wanted, expected):
    assert agreement(found, wanted) == pytest.approx(expected)


def test_likeness_is_the_worst_picture_and_the_mean():
    a = np.float32([[1, 0], [0, 1], [1, 1]])
    b = np.float32([[2, 0], [0, 3], [1, 0]])
    expected = {"cosine": 0.0, "cosine_mean": (0.5**0.5 + 0.2**0.5) / 3}  # without (1, 1), the mean of b
    assert likeness(a, b) == pytest.approx(expected, abs=1e-5)
    assert likeness([boxes([0, 0, 1, 1])], [boxes([0, 0, 1, 1])]) == {"boxes": 1, "agreement": 1.0}


def test_the_choice_of_pictures_does_not_depend_on_names_or_order(tmp_path):
    import cv2

    pictures = sample_pictures(9, SIZE)
    for folder, order in (("a", range(9)), ("b", reversed(range(9)))):
        (tmp_path / folder / "deep").mkdir(parents=True)
        for place, number in enumerate(order):
            cv2.imwrite(str(tmp_path / folder / "deep" / f"{place}.png"), pictures[number])
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    first = choose([tmp_path / "a"], 4)
    assert list(first) == list(choose([tmp_path / "b"], 4))
    assert len(choose([tmp_path / "a", tmp_path / "b"], 99)) == 9  # copies count once
    assert len(choose([tmp_path / "a"], 99, share=0.5)) == 5
    assert not first.keys() & choose([tmp_path / "a"], 99, without=first.keys()).keys()
    with pytest.raises(PictureError, match="were calibrated on"):
        choose([tmp_path / "a"], 4, without=choose([tmp_path / "a"], 99).keys())


def test_frames_of_the_simulated_world_are_pictures_one_by_one(tmp_path):
    pictures = np.stack(sample_pictures(5, SIZE))
    np.save(tmp_path / "hall.npy", pictures)
    np.save(tmp_path / "vectors.npy", np.zeros(3))  # an array without a list is none of ours
    (tmp_path / "hall.jsonl").write_text("{}\n" * 5)
    chosen = choose([tmp_path], 99)
    assert sorted(image.tobytes() for image in chosen.values()) == sorted(map(bytes, pictures))
    assert len(choose([tmp_path], 3)) == 3
    np.save(tmp_path / "hall.npy", pictures[..., 0])
    with pytest.raises(PictureError, match="is no array of pictures"):
        choose([tmp_path], 3)


def test_a_common_direction_hides_nothing():
    random = np.random.default_rng(5)
    common = 10 * np.ones(16) / 4
    wanted, ruined = (common + random.normal(size=(50, 16)) * 0.3 for _ in range(2))
    wanted, ruined = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (wanted, ruined))
    assert (wanted * ruined).sum(axis=1).min() > 0.95, "alike as they stand"
    found = likeness(np.float32(ruined), np.float32(wanted))
    assert found["cosine_mean"] < 0.3
    assert likeness(np.float32(wanted), np.float32(wanted))["cosine"] == pytest.approx(1, abs=1e-5)


def test_one_picture_has_nothing_in_common_with_others():
    row = np.float32([[0.6, 0.8]])
    assert likeness(row, row)["cosine"] == pytest.approx(1)
