"""torch to ONNX: the same answers at any batch size, in one file that tells nothing of this machine."""

import numpy as np
import onnx
import pytest

from engines import export
from engines.checkpoint import load_checkpoint, save_checkpoint
from engines.errors import EngineError, EngineFileError
from engines.examine import sample_pictures
from engines.export import export_onnx
from engines.manifest import load_manifest
from engines.network import BoxNetwork, VectorNetwork
from engines.preprocess import preprocess
from engines.sessions.open import open_session
from tests.engines.networks import (
    SIZE,
    detector_card,
    embedder_card,
    know_tiny_networks,
    tiny_detector,
    tiny_embedder,
)

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("onnxscript", reason="needs onnxscript")
pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _networks(monkeypatch):
    know_tiny_networks(monkeypatch)


@pytest.fixture(scope="module")
def embedder():
    return tiny_embedder()


@pytest.fixture
def checkpoint(tmp_path, embedder):
    card = embedder_card(operating_point={"max_distance": 0.7}, accuracy={"mAP": 0.5})
    save_checkpoint(tmp_path / "net", embedder, card)
    return tmp_path / "net"


def test_an_export_answers_as_the_network_does(checkpoint, tmp_path, capfd):
    manifest = export_onnx(checkpoint, tmp_path / "out")

    assert capfd.readouterr() == ("", "")
    assert load_manifest(tmp_path / "out" / "tiny.yaml") == manifest
    assert (manifest.precision, manifest.operating_point.max_distance, manifest.accuracy) == (
        "fp32",
        0.7,
        {"mAP": 0.5},
    )
    module, _ = load_checkpoint(checkpoint)
    session = open_session(manifest)
    for batch in (1, 3, 7):  # none that the exporter saw
        pictures, _ = preprocess(sample_pictures(batch, (50, 30)), manifest.preprocess)
        expected = module(torch.from_numpy(pictures)).detach().numpy()
        assert session.run({"pictures": pictures})["answer"] == pytest.approx(expected, abs=1e-5)
    assert VectorNetwork(manifest, session).dimension == 16


def test_a_detector_is_read_by_its_decoder(tmp_path):
    save_checkpoint(tmp_path / "net", tiny_detector(), detector_card())
    manifest = export_onnx(tmp_path / "net", tmp_path)
    BoxNetwork(manifest, open_session(manifest)).find(sample_pictures(2, (40, 60)))


def test_an_export_is_one_file_that_does_not_say_where_it_was_made(checkpoint, tmp_path):
    export_onnx(checkpoint, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tiny.onnx", "tiny.yaml"]
    data = (tmp_path / "out" / "tiny.onnx").read_bytes()
    assert b".py" not in data
    assert b"File" not in data
    export_onnx(checkpoint, tmp_path / "again")
    assert (tmp_path / "again" / "tiny.onnx").read_bytes() == data


def test_an_export_that_differs_from_torch_is_refused(checkpoint, tmp_path, monkeypatch):
    other = onnx.load_from_string(export.onnx_bytes(tiny_embedder(), SIZE, "other"))
    weights = onnx.numpy_helper.to_array(other.graph.initializer[0]) * np.float32(1.05)
    other.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(weights, other.graph.initializer[0].name)
    )
    monkeypatch.setattr(export, "onnx_bytes", lambda *_: other.SerializeToString())
    with pytest.raises(
        EngineFileError, match=r"answer at batch 1: ONNX and torch differ by .* more than 0\.001"
    ):
        export_onnx(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (embedder_card(dimension=12), "its vectors have 16 numbers, it says 12"),
        (
            detector_card(network={"use": "tiny-embedder", "arguments": {"dimension": 16}}),
            "decoder yolox reads",
        ),
    ],
)
def test_an_export_that_does_not_fit_its_card_is_refused(card, says, embedder, tmp_path):
    save_checkpoint(tmp_path / "net", embedder, card)
    with pytest.raises(EngineError, match=says):
        export_onnx(tmp_path / "net", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Branching(torch.nn.Module):
    """Cannot be traced."""

    def forward(self, x):
        return x.mean((2, 3)) if float(x.sum()) > 0 else x.amax((2, 3))


def test_what_torch_cannot_export_is_one_line():
    with pytest.raises(EngineFileError, match="checkpoint x: torch cannot export it") as caught:
        export.onnx_bytes(Branching().eval(), SIZE, "checkpoint x")
    assert "\n" not in str(caught.value)
