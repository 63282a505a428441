"""Networks run by torch: a manifest of safetensors is an engine like any other, or one clear error."""

import logging
import sys

import numpy as np
import pytest
import yaml

from engines.checkpoint import save_checkpoint
from engines.compile.build import Order, build
from engines.errors import EngineFileError, ManifestError, TensorError
from engines.manifest import load_manifest, parse_manifest
from engines.network import VectorNetwork
from engines.sessions.base import TensorSpec
from engines.sessions.open import open_session
from tests.engines.networks import SIZE, embedder_card, know_tiny_networks, tiny_embedder

torch = pytest.importorskip("torch", reason="needs torch")
pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _networks(monkeypatch):
    know_tiny_networks(monkeypatch)


@pytest.fixture
def path(tmp_path):
    """A manifest, its weights beside it."""
    save_checkpoint(tmp_path / "net", tiny_embedder(), embedder_card())
    build(Order(tmp_path / "net", tmp_path / "engine", "fp32", "torch"))
    return tmp_path / "engine" / "tiny.yaml"


def pictures(n):
    return np.random.default_rng(n).random((n, 3, *SIZE), np.float32)


def test_it_answers_as_the_module_does(path, capfd):
    session = open_session(load_manifest(path), device="cpu")
    assert session.inputs == (TensorSpec("pictures", (None, 3, *SIZE), "float32"),)
    assert session.outputs == (TensorSpec("answer", (None, 16), "float32"),)
    assert session.provider == "torch cpu"
    for n in (1, 5):
        with torch.inference_mode():
            expected = tiny_embedder().eval()(torch.from_numpy(pictures(n))).numpy()
        assert session.run({"pictures": pictures(n)})["answer"] == pytest.approx(expected, abs=1e-6)
    assert VectorNetwork(load_manifest(path), session).dimension == 16
    assert capfd.readouterr() == ("", "")


def test_a_checkpoint_is_an_engine_where_it_lies(path, tmp_path):
    session = open_session(load_manifest(tmp_path / "net"), device="cpu")
    other = open_session(load_manifest(path), device="cpu")
    assert np.array_equal(*(s.run({"pictures": pictures(3)})["answer"] for s in (session, other)))


def test_bf16_is_near_and_not_equal(path):
    document = yaml.safe_load(path.read_text()) | {"precision": "bf16"}
    rounded = open_session(parse_manifest(document, path.parent), device="cpu")
    exact = open_session(load_manifest(path), device="cpu")
    a, b = (s.run({"pictures": pictures(4)})["answer"] for s in (exact, rounded))
    assert b.dtype == np.float32
    assert b == pytest.approx(a, abs=0.05)
    assert not np.array_equal(a, b)


def rewritten(path, **keys):
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))
    return path


@pytest.mark.parametrize(
    ("keys", "kind", "says"),
    [
        ({"network": {"use": "tiny"}}, ManifestError, "engine tiny: .*no network is called 'tiny'"),
        (
            {"network": {"use": "tiny-detector"}},
            EngineFileError,
            "engine tiny: .*the weights are not this network's",
        ),
        ({"precision": "int8"}, EngineFileError, "engine tiny: torch does not run it in int8"),
        ({"preprocess": {"colour": "rgb", "resize": "stretch", "size": [8, 8]}}, None, ""),
    ],
)
def test_what_does_not_fit_is_refused_at_the_start(keys, kind, says, path):
    manifest = load_manifest(rewritten(path, **keys))
    if kind is None:  # pooling makes this network indifferent to the size
        open_session(manifest, device="cpu")
        return
    with pytest.raises(kind, match=says):
        open_session(manifest, device="cpu")


def test_the_network_belongs_to_safetensors_alone(path):
    with pytest.raises(ManifestError, match=r"key network belongs to \.safetensors files"):
        load_manifest(rewritten(path, file="tiny.onnx"))
    with pytest.raises(ManifestError, match=r"tensorrt belongs to \.onnx"):
        load_manifest(rewritten(path, file="tiny.safetensors", tensorrt={}))


def test_a_run_on_the_wrong_shape_is_explained(path):
    session = open_session(load_manifest(path), device="cpu")
    with pytest.raises(TensorError, match=r"engine tiny: torch cannot run it: .*channels"):
        session.run({"pictures": np.zeros((1, 4, *SIZE), np.float32)})


def test_without_torch_the_way_out_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        EngineFileError, match=r"engine tiny: .*torch is not installed.*or give an \.onnx file"
    ):
        open_session(load_manifest(path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_is_refused_where_torch_finds_none(path):
    with pytest.raises(EngineFileError, match="device cuda is asked for"):
        open_session(load_manifest(path), device="cuda")


class Replay:
    """Stands for a captured batch size on a GPU."""

    sizes: list[int] = []  # noqa: RUF012 - emptied by each test

    def __init__(self, forward, shape, stream):
        self.size = shape[0]
        self.forward = forward
        forward(torch.zeros(shape))

    def __call__(self, given):
        Replay.sizes.append(self.size)
        filled = torch.zeros(self.size, *given.shape[1:])
        filled[: len(given)] = torch.from_numpy(given)
        return [answer[: len(given)].numpy() for answer in self.forward(filled)]


@pytest.fixture
def runner(monkeypatch):
    from engines.sessions import torch_graphs

    Replay.sizes.clear()
    monkeypatch.setattr(torch_graphs, "_Replay", Replay)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: None)
    return torch_graphs.GraphRunner


def test_batches_are_split_and_filled_up(runner, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda forward: forward)
    graphs = runner(lambda x: (x * 2, x.sum((1, 2, 3))), (3, *SIZE), (1, 2, 4), "tiny")
    given = pictures(11)
    doubled, summed = graphs.run(given)
    assert Replay.sizes == [4, 4, 4]
    assert np.array_equal(doubled, given * 2)
    assert summed == pytest.approx(given.sum((1, 2, 3)), rel=1e-5)


def test_a_compiler_that_fails_costs_one_line(runner, monkeypatch, caplog):
    def broken(forward):
        def compiled(x):
            raise RuntimeError("no C compiler\nfound")

        return compiled

    monkeypatch.setattr(torch, "compile", broken)
    caplog.set_level(logging.WARNING, "musewatch.engines")
    graphs = runner(lambda x: (x + 1,), (3, *SIZE), (1, 2), "tiny")
    for n in (1, 2, 3):
        assert np.array_equal(graphs.run(pictures(n))[0], pictures(n) + 1)
    assert caplog.messages == ["engine tiny: torch.compile failed, it runs as it is: no C compiler found"]


def test_a_network_that_fails_uncompiled_too_is_an_error(runner, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda forward: forward)

    def forward(x):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        runner(forward, (3, *SIZE), (1,), "tiny").run(pictures(1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_on_a_gpu_it_points_the_same_way(precision, path):
    document = yaml.safe_load(path.read_text()) | {"precision": precision, "max_batch": 8}
    manifest = parse_manifest(document, path.parent)
    on_gpu, here = (open_session(manifest, device=device) for device in ("cuda", "cpu"))
    for n in (1, 3, 8, 19, 3):
        a, b = (session.run({"pictures": pictures(n)})["answer"] for session in (on_gpu, here))
        assert (a * b).sum(axis=1).min() > 0.999
