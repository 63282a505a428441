"""Our embedders against the suites of their role, on people of the demo's clips."""

import pytest

from engines.testing import stripe_embedder, write_engine
from pipeline.protocols import TextEmbedder
from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.testing import FakeEmbedder, FakeReader, contracts
from tests.servers import hall
from tests.support.tiny_weights import TINY


def onnx_engine(folder):
    return {"engine": str(write_engine(folder, stripe_embedder((64, 32), stripes=16)))}


def tiny_weights_of(name):
    return lambda folder: {"weights": str(TINY[name](folder / name)), "device": "cpu"}


def captioned_engine(folder):
    from trainers.losses.captions import CaptionSettings, Reader

    words = ["a", "woman", "man", "in", "red", "with", "black", "coat", "and", "blue", "jeans"]
    settings = CaptionSettings(width=16, layers=1, heads=2)
    dimension = build("embedder", choose("onnx", **onnx_engine(folder)), folder, "embedder").dimension
    Reader(words, settings, dimension).save(folder / "reader.safetensors")
    return onnx_engine(folder) | {"reader": str(folder / "reader.safetensors")}


SETTINGS = {"onnx": onnx_engine, "captions": captioned_engine} | {
    name: tiny_weights_of(name) for name in TINY
}


NAMES = [
    pytest.param(name, marks=pytest.mark.torch if name in {*TINY, "captions"} else ())
    for name in known("embedder")
]
READERS = ["captions", "clip", "transformers"]


def made(name, folder):
    settings = SETTINGS.get(name, lambda folder: {})(folder)
    return build("embedder", choose(name, **settings), folder, "embedder")


@pytest.fixture(scope="module")
def people():
    """Crops of three people by id, each two thirds of a second apart and of different sizes; views of frames."""
    crops = {}
    for frame in hall.frames("hall-1", [180, 200, 220, 300, 320]):
        for person in hall.people("hall-1", frame.index):
            if person.visibility > 0.95 and person.height_px > 120:
                crops.setdefault(person.id, []).append(hall.crop(frame, person.box))
    assert {who: len(seen) for who, seen in crops.items()} == {9: 5, 7: 2, 10: 2}
    return crops


class TestEmbedders(contracts.EmbedderContract):
    @pytest.fixture(params=NAMES)
    def embedder(self, request, tmp_path):
        return made(request.param, tmp_path)

    @pytest.fixture
    def looks(self, people):
        return people

    @pytest.mark.parametrize(
        "embedder", [name for name in known("embedder") if name not in TINY], indirect=True
    )
    def test_one_person_is_nearer_than_another(self, embedder, looks):
        """Not asked of weights that were never trained."""
        super().test_one_person_is_nearer_than_another(embedder, looks)

    def test_only_one_that_reads_says_so(self, embedder, request):
        reads = isinstance(embedder, TextEmbedder) and embedder.reads_text
        assert reads == any(name in request.node.name for name in READERS)


@pytest.mark.torch
class TestReaders(contracts.TextEmbedderContract):
    @pytest.fixture(params=READERS)
    def embedder(self, request, tmp_path):
        return made(request.param, tmp_path)


class TestFakeEmbedder(contracts.EmbedderContract):
    @pytest.fixture
    def embedder(self):
        return FakeEmbedder("sha256:" + 64 * "0")


class TestFakeReader(contracts.TextEmbedderContract):
    @pytest.fixture
    def embedder(self):
        return FakeReader()
