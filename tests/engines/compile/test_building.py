"""`musewatch engines export | calibrate | build | compare` on a tiny network: what is made, and what is refused."""

import json
import pickle
import re
import shutil
import sys

import cv2
import numpy as np
import onnx
import pytest
import yaml

from engines.checkpoint import save_checkpoint
from engines.compile import gate
from engines.manifest import load_manifest
from engines.network import VectorNetwork
from engines.sessions.open import open_session
from engines.sessions.trt import opening
from engines.sessions.trt.testing import FakeGpu, FakeLibrary
from engines.testing import stripe_embedder, write_engine
from pipeline import registry
from pipeline.cli.main import main
from tests.engines.networks import (
    detector_card,
    embedder_card,
    know_tiny_networks,
    tiny_detector,
    tiny_embedder,
)

LARGE = {"colour": "bgr", "scale": 1 / 255, "resize": "letterbox_top_left", "size": [64, 64]}

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("onnxscript", reason="needs onnxscript")
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A checkpoint, its export, and pictures."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        know_tiny_networks(patch)
        save_checkpoint(folder / "net", tiny_embedder(), embedder_card(operating_point={"max_distance": 0.7}))
        assert main(["engines", "export", str(folder / "net"), "--out", str(folder / "exported")]) == 0
    random = np.random.default_rng(3)
    (folder / "pictures").mkdir()
    for number in range(40):
        picture = cv2.resize(random.integers(0, 256, (6, 3, 3), dtype=np.uint8), (20, 44))
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), picture)
    return folder


@pytest.fixture
def call(home, monkeypatch, capfd, tmp_path):
    """Exit code, stdout (parsed with --json) and stderr of a command line, run in an empty folder."""
    know_tiny_networks(monkeypatch)
    monkeypatch.delenv("MUSEWATCH_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main(["engines", *map(str, words)])
        out, err = capfd.readouterr()
        return code, json.loads(out) if code == 0 and "--json" in words else out, err

    return run


def embeddings(path, home):
    manifest = load_manifest(path)
    pictures = [cv2.imread(str(path)) for path in sorted((home / "pictures").iterdir())]
    return VectorNetwork(manifest, open_session(manifest, device="cpu")).embed(pictures)


@pytest.mark.parametrize(
    ("source", "precision", "format_", "least"),
    [
        ("net", "fp16", "onnx", 0.9999),
        ("exported/tiny.yaml", "int8", "onnx", 0.95),
        ("exported/tiny.yaml", "fp8", "onnx", 0.9),
        ("exported/tiny.yaml", "int8", "tensorrt", 0.95),
        ("exported/tiny.yaml", "bf16", "openvino", 0.99),
        ("exported/tiny.yaml", "int8", "openvino", 0.95),
        ("net", "fp32", "torch", 1 - 1e-6),
        ("net", "bf16", "torch", 0.99),
    ],
)
def test_an_engine_of_another_precision_points_the_same_way(
    source, precision, format_, least, home, call, tmp_path
):
    code, made, err = call(
        "build", home / source, "--precision", precision, "--format", format_,
        "--images", home / "pictures", "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert (code, err.count("\n")) == (0, 1)  # the line that says what takes so long
    manifest = load_manifest(tmp_path / "out" / f"{made['name']}.yaml")
    assert (manifest.precision, manifest.digest) == (precision, made["digest"])
    assert manifest.operating_point.max_distance == 0.7
    assert manifest.accuracy["gate"] == made["gate"]
    assert made["gate"]["cosine"] >= least
    exact, found = (embeddings(p, home) for p in (home / "exported/tiny.yaml", tmp_path / made["manifest"]))
    assert (exact * found).sum(axis=1).min() >= least
    if precision != "fp32":
        assert not np.array_equal(exact, found)


def test_eight_bits_are_a_quarter_of_the_weights(home, call, tmp_path):
    save_checkpoint(
        tmp_path / "wide",
        tiny_embedder(width=96),
        embedder_card(network={"use": "tiny-embedder", "arguments": {"width": 96}}),
    )
    assert call("export", tmp_path / "wide", "--out", tmp_path)[0] == 0
    # for processors the last layer stays as it is
    for words in (("--precision", "fp16"), ("--precision", "int8", "--target", "tensorrt")):
        assert (
            call("build", tmp_path / "tiny.yaml", *words, "--images", home / "pictures", "--out", tmp_path)[0]
            == 0
        )
    sizes = {name: (tmp_path / f"{name}.onnx").stat().st_size for name in ("tiny", "tiny-fp16", "tiny-int8")}
    assert sizes["tiny-fp16"] < 0.55 * sizes["tiny"]
    assert sizes["tiny-int8"] < 0.3 * sizes["tiny"]


def test_a_calibration_is_made_once_and_used(home, call, tmp_path):
    code, made, _ = call(
        "calibrate", home / "exported/tiny.yaml", "--images", home / "pictures", "--count", 10,
        "--out", tmp_path / "c.json", "--json",
    )  # fmt: skip
    assert (code, made["pictures"]) == (0, 10)
    build = (
        "build",
        "--precision",
        "int8",
        "--images",
        home / "pictures",
        "--calibration",
        tmp_path / "c.json",
    )
    code, built, _ = call(*build, home / "exported/tiny.yaml", "--out", tmp_path / "out", "--json")
    assert code == 0
    assert built["gate"]["pictures"] == 30  # none that it was calibrated on

    write_engine(tmp_path / "other", stripe_embedder((32, 16)))
    code, _, err = call(*build, tmp_path / "other/tiny.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert "the calibration is of sha256:" in err
    assert "calibrate this very file" in err


def test_layers_named_are_kept(home, call, tmp_path):
    build = (
        "build",
        home / "exported/tiny.yaml",
        "--precision",
        "int8",
        "--images",
        home / "pictures",
        "--out",
        tmp_path,
    )
    assert call(*build, "--keep", "*Conv*", "--name", "kept")[0] == 0
    assert call(*build, "--name", "all")[0] == 0
    assert (tmp_path / "kept.onnx").stat().st_size > (tmp_path / "all.onnx").stat().st_size
    code, _, err = call(*build, "--keep", "*")
    assert code == 2
    assert "nothing in it can be int8" in err
    code, _, err = call(*build, "--keep", "head")
    assert code == 2
    assert re.search("no layer is called head. there are node_Conv.*linear", err)


def test_an_engine_that_strays_is_refused_and_not_kept(home, call, tmp_path, monkeypatch):
    monkeypatch.setitem(gate.LEAST_COSINE, "int8", 0.999999)
    out = tmp_path / "out"
    code, text, err = call(
        "build",
        home / "exported/tiny.yaml",
        "--precision",
        "int8",
        "--images",
        home / "pictures",
        "--out",
        out,
    )
    assert (code, text) == (1, "")
    assert "engine tiny-int8 in int8 is refused: cosine with the reference is 0.99" in err
    assert "below 0.999999" in err
    assert not out.exists()


def test_what_tensorrt_makes_of_it_is_judged_too(home, call, tmp_path, monkeypatch):
    build = (
        "build", home / "exported/tiny.yaml", "--precision", "int8", "--format", "tensorrt",
        "--images", home / "pictures", "--json",
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    _, made, _ = call(*build, "--out", tmp_path / "without")
    assert made["gate"]["tensorrt"].startswith("not measured: it is not installed")

    gpu = FakeGpu()
    monkeypatch.setitem(sys.modules, "tensorrt", FakeLibrary(gpu).module())
    monkeypatch.setattr(opening, "CudaGpu", lambda: gpu)
    code, made, err = call(*build, "--profile", 1, 2, 4, "--out", tmp_path / "out")
    assert code == 0
    assert "cannot" not in err
    assert made["gate"]["tensorrt"]["cosine"] == pytest.approx(made["gate"]["cosine"], abs=1e-5)
    assert load_manifest(tmp_path / "out/tiny-int8.yaml").tensorrt.profile == (1, 2, 4)
    assert len(list((tmp_path / "out/plans").glob("*sm90-b1.2.4-*.plan"))) == 1
    assert gpu.held == {}


@pytest.mark.parametrize(("scores", "code"), [([0.800, 0.804], 0), ([0.800, 0.806], 1)])
def test_a_score_may_drop_by_half_a_point(scores, code, home, call, tmp_path, monkeypatch):
    given = iter(scores)
    monkeypatch.setattr(gate, "score", lambda *_: {"mAP": next(given)})
    found, _, err = call(
        "build", home / "exported/tiny.yaml", "--precision", "fp16", "--images", home / "pictures", "--labels", home,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert found == code
    assert ("mAP fell from 0.8060 to 0.8000" in err) == bool(code)


WRONG = {
    "no pictures": (("--precision", "int8"), 2, "--images DIR"),
    "an empty folder": (("--precision", "fp16", "--images", "empty"), 3, "there are no pictures in empty"),
    "bf16 as onnx": (
        ("--precision", "bf16", "--images", "PICTURES"),
        2,
        "bf16 is not built for the format onnx",
    ),
    "fp16 for OpenVINO": (("--precision", "fp16", "--format", "openvino"), 2, "build fp32, bf16, int8"),
    "int8 in torch": (
        ("--precision", "int8", "--format", "torch"),
        2,
        "int8 is not built for the format torch",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_built_is_one_line(case, home, call, tmp_path):
    words, code, says = WRONG[case]
    (tmp_path / "empty").mkdir()
    words = [home / "pictures" if word == "PICTURES" else word for word in words]
    found, out, err = call("build", home / "exported/tiny.yaml", *words, "--out", tmp_path / "out")
    assert (found, out) == (code, "")
    assert says in err
    assert "Traceback" not in err


def test_only_float32_is_built_from(home, call, tmp_path):
    build = ("build", "--images", home / "pictures", "--out", tmp_path)
    assert call(*build, home / "exported/tiny.yaml", "--precision", "fp16")[0] == 0
    code, _, err = call(*build, tmp_path / "tiny-fp16.yaml", "--precision", "int8")
    assert code == 2
    assert "engines are built from float32" in err


def test_a_damaged_checkpoint_is_one_line(home, call, tmp_path):
    shutil.copytree(home / "net", tmp_path / "net")
    weights = tmp_path / "net" / "weights.safetensors"
    for data, says in ((weights.read_bytes()[:-9], "it is damaged"), (pickle.dumps({}), "is a pickle")):
        weights.write_bytes(data)
        for words in (("export", "net", "--out", "out"), ("compare", "net")):
            code, out, err = call(*words)
            assert (code, out) == (2, "")
            patience = ("exporting ", "measuring ")  # lines that say what takes so long
            told = [line for line in err.splitlines() if not line.startswith(patience)]
            assert told[0].startswith("musewatch: engine tiny: ")
            assert says in err
            assert len(told) <= 2
    assert not (tmp_path / "out").exists()


def test_a_damaged_picture_is_named(home, call, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no picture")
    code, _, err = call(
        "build", home / "exported/tiny.yaml", "--precision", "fp16", "--images", "bad", "--out", tmp_path
    )
    assert code == 3
    assert "bad/a.jpg is not a picture" in err


def test_a_detector_is_held_to_its_boxes(call, home, tmp_path):
    save_checkpoint(tmp_path / "net", tiny_detector(), detector_card())
    code, made, err = call(
        "build",
        tmp_path / "net",
        "--precision",
        "int8",
        "--images",
        home / "pictures",
        "--out",
        tmp_path,
        "--json",
    )
    assert (code, err.count("\n")) == (0, 1)  # the line that says what takes so long
    assert made["gate"]["boxes"] > 0
    assert 0.95 <= made["gate"]["agreement"] < 1


@pytest.mark.parametrize(
    ("words", "kind"),
    [((), np.uint8), (("--target", "cpu"), np.uint8), (("--target", "tensorrt"), np.int8),
     (("--format", "tensorrt"), np.int8)],
)  # fmt: skip
def test_eight_bits_are_of_the_kind_that_the_target_is_fast_with(words, kind, home, call, tmp_path):
    build = ("build", home / "exported/tiny.yaml", "--precision", "int8", "--images", home / "pictures")
    assert call(*build, "--out", tmp_path, *words)[0] == 0
    model = onnx.load(tmp_path / "tiny-int8.onnx")
    fixed = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    points = [fixed[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert {point.dtype for point in points} == {np.dtype(kind)}


def cells_network(tmp_path, *, held):
    """A detector of one stride, 8, whose scores are how bright a cell is; `held`: it knows 64 x 64 px alone."""
    weights = {
        "w": np.full((6, 3, 8, 8), 0.4 / 192, np.float32), "b": np.full(6, 0.55, np.float32),
        "grid": np.zeros((1, 6, 8, 8) if held else (1, 6, 1, 1), np.float32), "rows": [0, 6, -1],
    }  # fmt: skip
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w", "b"], ["c"], strides=[8, 8]),
        onnx.helper.make_node("Add", ["c", "grid"], ["g"]),
        onnx.helper.make_node("Reshape", ["g", "rows"], ["flat"]),
        onnx.helper.make_node("Transpose", ["flat"], ["y"], perm=[0, 2, 1]),
    ]
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 64, 64])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 64, 6])
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], tensors)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    card = detector_card().model_dump(mode="json", by_alias=True, exclude_unset=True)
    keys = {key: card[key] for key in ("role", "decoder")}
    return write_engine(tmp_path, model.SerializeToString(), **keys, preprocess=LARGE)


def test_a_detector_is_built_for_the_shape_of_its_streams(call, home, tmp_path):
    save_checkpoint(tmp_path / "net", tiny_detector(), detector_card(preprocess=LARGE))
    for source in (tmp_path / "net", cells_network(tmp_path, held=False)):
        code, made, _ = call(
            "build",
            source,
            "--size",
            "64,32",
            "--images",
            home / "pictures",
            "--out",
            tmp_path / "out",
            "--json",
        )
        assert (code, made["name"]) == (0, "tiny-64x32")
        manifest = load_manifest(tmp_path / "out" / "tiny-64x32.yaml")
        assert manifest.preprocess.size == (64, 32)
        (spec,) = open_session(manifest, device="cpu").inputs
        assert spec.shape[1:] == (3, 64, 32)
        assert made["gate"]["agreement"] == 1
        assert made["gate"]["full_size"]["boxes"] > 0


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ("64", "no height and width"),
        ("64,4", "no height and width"),
        ("70,64", "multiples of 32"),
        ("1e2,32", "no height"),
    ],
)
def test_a_size_that_cannot_be_is_one_line(size, says, call, home, tmp_path):
    save_checkpoint(tmp_path / "net", tiny_detector(), detector_card(preprocess=LARGE))
    code, out, err = call("build", tmp_path / "net", "--size", size, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert says in err


def test_an_embedder_keeps_its_size(call, home, tmp_path):
    code, _, err = call("build", home / "exported/tiny.yaml", "--size", "64,32", "--out", tmp_path)
    assert code == 2
    assert "is a embedder" in err or "is an embedder" in err


def test_an_export_that_holds_its_size_is_one_line(call, tmp_path):
    """A grid of constants, as exporters of detectors leave it."""
    code, _, err = call(
        "build", cells_network(tmp_path, held=True), "--size", "32,64", "--out", tmp_path / "out"
    )
    assert code == 2
    assert "a layer of it holds the size that it was exported for" in err
    assert "export it for 32 x 64" in err


def test_engines_are_compared(home, call, tmp_path, monkeypatch):
    monkeypatch.setattr("engines.compile.compare.SECONDS", 0.0)
    build = (
        "build",
        home / "exported/tiny.yaml",
        "--precision",
        "int8",
        "--images",
        home / "pictures",
        "--out",
        tmp_path,
    )
    assert call(*build)[0] == 0
    engines = (home / "net", home / "exported/tiny.yaml", tmp_path / "tiny-int8.yaml")

    code, found, err = call(
        "compare", *engines, "--images", home / "pictures", "--batch", 1, "--batch", 3, "--json"
    )

    assert (code, err.count("\n")) == (0, 1)  # the line that says what takes so long
    rows = {(row["name"], row["format"], row["runtime"]): row for row in found["rows"]}
    torch_row = rows["tiny", "safetensors", "torch, processor"]
    exact = rows["tiny", "onnx", "onnxruntime, processor"]
    small = rows["tiny-int8", "onnx", "onnxruntime, processor"]
    assert torch_row["cosine"] == pytest.approx(1, abs=1e-6)
    assert exact["cosine"] == pytest.approx(1, abs=1e-5)
    assert 0.99 < small["cosine"] < exact["cosine"]
    assert small["megabytes"] <= exact["megabytes"]
    assert set(exact["per_second"]) == {"1", "3"}
    assert exact["latency_ms"] > 0
    if not torch.cuda.is_available():
        assert "no GPU" in rows["tiny", "onnx", "TensorRT"]["not_measured"]
    monkeypatch.setattr("engines.compile.compare.gpu_works", lambda: False)
    table = call("compare", *engines, "--batch", 1)[1]
    assert "TensorRT: not measured: no GPU works here (tiny, tiny-int8)" in table.splitlines()


def test_a_scorer_is_found_by_role(home, call, tmp_path, monkeypatch):
    from importlib.metadata import EntryPoint

    point = EntryPoint("embedder", "tests.engines.networks:score_embedder", "musewatch.gate")
    monkeypatch.setitem(registry.known("gate"), "embedder", point)
    code, made, _ = call(
        "build", home / "exported/tiny.yaml", "--precision", "fp16", "--images", home / "pictures",
        "--labels", home / "pictures", "--out", tmp_path, "--json",
    )  # fmt: skip
    assert code == 0
    assert made["gate"]["reference_scores"] == {
        "first": pytest.approx(made["gate"]["scores"]["first"], abs=1e-3)
    }
    monkeypatch.delitem(registry.known("gate"), "embedder")
    code, _, err = call(
        "build",
        home / "net",
        "--precision",
        "fp16",
        "--images",
        home / "pictures",
        "--labels",
        home,
        "--out",
        "out",
    )
    assert code == 2
    assert "nothing installed scores a embedder" in err


def test_a_manifest_says_where_it_was_judged(home):
    """An export without pictures says that it was not."""
    document = yaml.safe_load((home / "exported/tiny.yaml").read_text())
    assert "gate" not in document["accuracy"]
